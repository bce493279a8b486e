// JSON: what the table, the graph and the worker's protocol are written in.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace relume {

// A JSON value. Objects keep their order, whole numbers stay whole.
class Json {
 public:
  enum class Kind { null, boolean, integer, real, text, array, object };
  using Member = std::pair<std::string, Json>;

  Json() = default;
  Json(bool value) : kind_(Kind::boolean), integer_(value) {}
  Json(int value) : kind_(Kind::integer), integer_(value) {}
  Json(std::int64_t value) : kind_(Kind::integer), integer_(value) {}
  Json(double value) : kind_(Kind::real), real_(value) {}
  Json(const char *value) : kind_(Kind::text), text_(value) {}
  Json(std::string value) : kind_(Kind::text), text_(std::move(value)) {}
  Json(std::string_view value) : kind_(Kind::text), text_(value) {}

  static Json array(std::vector<Json> items = {});
  static Json object(std::vector<Member> members = {});

  // Throws std::runtime_error where the text is not JSON.
  static Json parse(std::string_view text);

  Kind kind() const { return kind_; }
  bool is_null() const { return kind_ == Kind::null; }
  bool truth() const { return kind_ == Kind::boolean && integer_ != 0; }
  std::int64_t integer(std::int64_t otherwise = 0) const;
  double number(double otherwise = 0.0) const;
  const std::string &text() const { return text_; }
  const std::vector<Json> &items() const { return items_; }
  const std::vector<Member> &members() const { return members_; }

  // The member of a name; null where there is none.
  const Json &operator[](std::string_view name) const;

  void add(Json item) { items_.push_back(std::move(item)); }
  void set(std::string name, Json value);

  bool operator==(const Json &other) const;

  std::string write() const;

 private:
  void write_to(std::string &out) const;

  Kind kind_ = Kind::null;
  std::int64_t integer_ = 0;
  double real_ = 0.0;
  std::string text_;
  std::vector<Json> items_;
  std::vector<Member> members_;
};

}  // namespace relume
