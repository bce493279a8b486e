// A small OpenFX application of our own: enough of one to load the bundle, describe its effects, set
// their parameters and render, with the habits of real applications that break plug-ins.

#pragma once

#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <variant>
#include <vector>

#include "../ofx_abi.h"
#include "../src/json.h"

namespace test_host {

using relume::Json;

using Value = std::variant<int, double, std::string, void *>;

// Properties by name. Handles are pointers to these.
struct Properties {
  std::map<std::string, std::vector<Value>> values;

  void set(const std::string &name, int index, Value value);
  std::string text(const std::string &name, int index = 0) const;
  Json json() const;
};

struct Param {
  std::string name, type;
  Properties properties;
  std::vector<double> numbers;  // of every type but strings
  std::string text;
  std::vector<std::pair<double, double>> keys;  // of one number, straight lines between

  double number(std::size_t index, double time) const;
};

// A picture in memory, as an application lends it.
struct Image {
  Properties properties;
  std::vector<char> memory;
};

struct Clip {
  std::string name;
  Properties properties;
  Json source;  // what the script says of it
  std::map<int, std::string> files;
  OfxRectI bounds = {}, region = {};
  int channels = 4;

  std::unique_ptr<Image> image(int frame) const;
};

struct Effect {
  Properties properties;
  std::vector<std::unique_ptr<Param>> params;
  std::vector<std::unique_ptr<Clip>> clips;
  Image *output = nullptr;  // what a render writes to
  std::chrono::steady_clock::time_point stop;  // when `abort` begins to say so
  std::vector<std::pair<std::string, int>> fetched;  // clip and frame
  int images = 0;                                    // lent and not returned
  double own_seconds = 0.0;                          // the application's own, in a render

  Param *param(const std::string &name);
  Clip *clip(const std::string &name);
};

// What plug-ins told the user: type and text.
std::vector<std::pair<std::string, std::string>> take_messages();

OfxHost *host(const Json &says);

int channels_of(const std::string &components);

// Pixels of a file of floats, rows downwards; and back.
std::vector<float> read_floats(const std::string &path);
void write_floats(const std::string &path, const Image &image, const OfxRectI &bounds,
                  int channels);

// Memory for a picture with rows up or down and `padding` bytes between them, all of it `filler`.
std::unique_ptr<Image> make_image(const OfxRectI &bounds, const OfxRectI &region, int channels,
                                  bool downwards, int padding, float filler);
float *row_of(const Image &image, const OfxRectI &bounds, int y);

}  // namespace test_host
