// The application: its suites, and properties without a status to check after each.

#pragma once

#include <optional>
#include <string>
#include <vector>

#include "../ofx_abi.h"

namespace relume {

struct Suites {
  OfxHost *host = nullptr;
  const OfxPropertySuiteV1 *property = nullptr;
  const OfxImageEffectSuiteV1 *effect = nullptr;
  const OfxParameterSuiteV1 *parameter = nullptr;
  const OfxMessageSuiteV2 *message = nullptr;
  bool lasting_messages = false;  // whether the message suite is one of version 2

  // Fetches the suites; false where one is missing without which nothing works.
  bool fetch(OfxHost *from);
};

Suites &suites();

// A property set. Properties that an application does not know are passed over in silence: what it
// does not know, it cannot need.
class Properties {
 public:
  Properties() = default;
  explicit Properties(OfxPropertySetHandle handle) : handle_(handle) {}

  explicit operator bool() const { return handle_ != nullptr; }
  OfxPropertySetHandle handle() const { return handle_; }

  void set(const char *name, const std::string &value, int index = 0) const;
  void set(const char *name, int value, int index = 0) const;
  void set(const char *name, double value, int index = 0) const;
  void set(const char *name, const OfxRectD &value) const;

  std::string text(const char *name, int index = 0) const;
  std::optional<int> integer(const char *name, int index = 0) const;
  std::optional<double> number(const char *name, int index = 0) const;
  void *pointer(const char *name) const;
  std::optional<OfxRectI> rectangle(const char *name) const;

 private:
  OfxPropertySetHandle handle_ = nullptr;
};

// Shows a sentence at an effect until it renders again.
void tell(OfxImageEffectHandle effect, const std::string &sentence);

// Takes the sentence away.
void untell(OfxImageEffectHandle effect);

// Shows a sentence once that is no error.
void say(OfxImageEffectHandle effect, const std::string &sentence);

// The application's name for itself.
std::string host_name();

}  // namespace relume
