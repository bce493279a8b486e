#include "json.h"

#include <charconv>
#include <cmath>
#include <cstdio>
#include <stdexcept>

namespace relume {

namespace {

constexpr int kDeepest = 64;

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Json document() {
    Json value = this->value(0);
    skip();
    if (at_ != text_.size()) fail();
    return value;
  }

 private:
  [[noreturn]] void fail() const {
    throw std::runtime_error("byte " + std::to_string(at_) + " is not JSON");
  }

  void skip() {
    while (at_ < text_.size() && std::string_view(" \t\r\n").find(text_[at_]) != text_.npos) ++at_;
  }

  char peek() {
    skip();
    if (at_ == text_.size()) fail();
    return text_[at_];
  }

  void expect(char wanted) {
    if (peek() != wanted) fail();
    ++at_;
  }

  bool take(std::string_view word) {
    if (text_.substr(at_, word.size()) != word) return false;
    at_ += word.size();
    return true;
  }

  Json value(int depth) {
    if (depth > kDeepest) fail();
    switch (peek()) {
      case '{': return object(depth);
      case '[': return array(depth);
      case '"': return Json(string());
      default: break;
    }
    if (take("true")) return Json(true);
    if (take("false")) return Json(false);
    if (take("null")) return Json();
    return number();
  }

  Json object(int depth) {
    std::vector<Json::Member> members;
    expect('{');
    while (peek() != '}') {
      if (!members.empty()) expect(',');
      peek();
      std::string name = string();
      expect(':');
      members.emplace_back(std::move(name), value(depth + 1));
    }
    ++at_;
    return Json::object(std::move(members));
  }

  Json array(int depth) {
    std::vector<Json> items;
    expect('[');
    while (peek() != ']') {
      if (!items.empty()) expect(',');
      items.push_back(value(depth + 1));
    }
    ++at_;
    return Json::array(std::move(items));
  }

  Json number() {
    const char *begin = text_.data() + at_;
    const char *end = text_.data() + text_.size();
    std::int64_t whole = 0;
    auto as_whole = std::from_chars(begin, end, whole);
    double real = 0.0;
    auto as_real = std::from_chars(begin, end, real);
    if (as_real.ec != std::errc() || as_real.ptr == begin) fail();
    at_ += static_cast<std::size_t>(as_real.ptr - begin);
    if (as_whole.ec == std::errc() && as_whole.ptr == as_real.ptr) return Json(whole);
    return Json(real);
  }

  unsigned hex() {
    if (text_.size() - at_ < 4) fail();
    unsigned code = 0;
    auto read = std::from_chars(text_.data() + at_, text_.data() + at_ + 4, code, 16);
    if (read.ptr != text_.data() + at_ + 4) fail();
    at_ += 4;
    return code;
  }

  void encode(unsigned code, std::string &out) const {
    auto byte = [&out](unsigned bits) { out.push_back(static_cast<char>(bits)); };
    auto tail = [&](int shift) { byte(0x80u | ((code >> shift) & 0x3fu)); };
    if (code < 0x80u) {
      byte(code);
    } else if (code < 0x800u) {
      byte(0xc0u | (code >> 6)), tail(0);
    } else if (code < 0x10000u) {
      byte(0xe0u | (code >> 12)), tail(6), tail(0);
    } else {
      byte(0xf0u | (code >> 18)), tail(12), tail(6), tail(0);
    }
  }

  void escaped(std::string &out) {
    static constexpr std::string_view kFrom = "\"\\/bfnrt", kTo = "\"\\/\b\f\n\r\t";
    if (at_ == text_.size()) fail();
    char letter = text_[at_++];
    if (auto found = kFrom.find(letter); found != kFrom.npos) {
      out.push_back(kTo[found]);
      return;
    }
    if (letter != 'u') fail();
    unsigned code = hex();
    if (code >= 0xd800u && code < 0xdc00u && take("\\u")) {
      code = 0x10000u + ((code - 0xd800u) << 10) + ((hex() - 0xdc00u) & 0x3ffu);
    }
    encode(code, out);
  }

  std::string string() {
    std::string out;
    if (text_[at_] != '"') fail();
    ++at_;
    while (at_ < text_.size() && text_[at_] != '"') {
      char letter = text_[at_++];
      if (letter == '\\') {
        escaped(out);
      } else {
        out.push_back(letter);
      }
    }
    if (at_ == text_.size()) fail();
    ++at_;
    return out;
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

void write_text(const std::string &text, std::string &out) {
  out.push_back('"');
  for (char letter : text) {
    auto code = static_cast<unsigned char>(letter);
    if (letter == '"' || letter == '\\') {
      out.push_back('\\');
      out.push_back(letter);
    } else if (code < 0x20) {
      char buffer[8];
      std::snprintf(buffer, sizeof buffer, "\\u%04x", code);
      out += buffer;
    } else {
      out.push_back(letter);
    }
  }
  out.push_back('"');
}

}  // namespace

Json Json::array(std::vector<Json> items) {
  Json value;
  value.kind_ = Kind::array;
  value.items_ = std::move(items);
  return value;
}

Json Json::object(std::vector<Member> members) {
  Json value;
  value.kind_ = Kind::object;
  value.members_ = std::move(members);
  return value;
}

Json Json::parse(std::string_view text) { return Parser(text).document(); }

std::int64_t Json::integer(std::int64_t otherwise) const {
  return kind_ == Kind::integer ? integer_ : otherwise;
}

double Json::number(double otherwise) const {
  if (kind_ == Kind::integer) return static_cast<double>(integer_);
  return kind_ == Kind::real ? real_ : otherwise;
}

const Json &Json::operator[](std::string_view name) const {
  static const Json nothing;
  for (const Member &member : members_) {
    if (member.first == name) return member.second;
  }
  return nothing;
}

void Json::set(std::string name, Json value) {
  for (Member &member : members_) {
    if (member.first == name) {
      member.second = std::move(value);
      return;
    }
  }
  members_.emplace_back(std::move(name), std::move(value));
}

bool Json::operator==(const Json &other) const {
  bool numbers = kind_ == Kind::real || other.kind_ == Kind::real;
  if (numbers) return number(NAN) == other.number(NAN);
  return kind_ == other.kind_ && integer_ == other.integer_ && text_ == other.text_ &&
         items_ == other.items_ && members_ == other.members_;
}

std::string Json::write() const {
  std::string out;
  write_to(out);
  return out;
}

void Json::write_to(std::string &out) const {
  switch (kind_) {
    case Kind::null: out += "null"; break;
    case Kind::boolean: out += integer_ ? "true" : "false"; break;
    case Kind::integer: out += std::to_string(integer_); break;
    case Kind::text: write_text(text_, out); break;
    case Kind::real: {
      // The shortest text that reads back as the same number, whatever the application's locale.
      char buffer[32];
      auto end = std::to_chars(buffer, buffer + sizeof buffer, std::isfinite(real_) ? real_ : 0.0);
      std::string_view digits(buffer, static_cast<std::size_t>(end.ptr - buffer));
      out += digits;
      if (digits.find_first_of(".e") == digits.npos) out += ".0";
      break;
    }
    case Kind::array: {
      out.push_back('[');
      for (std::size_t i = 0; i < items_.size(); ++i) {
        if (i) out += ", ";
        items_[i].write_to(out);
      }
      out.push_back(']');
      break;
    }
    case Kind::object: {
      out.push_back('{');
      for (std::size_t i = 0; i < members_.size(); ++i) {
        if (i) out += ", ";
        write_text(members_[i].first, out);
        out += ": ";
        members_[i].second.write_to(out);
      }
      out.push_back('}');
      break;
    }
  }
}

}  // namespace relume
