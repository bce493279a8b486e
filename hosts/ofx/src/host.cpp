#include "host.h"

#include <cstring>

namespace relume {

Suites &suites() {
  static Suites all;
  return all;
}

bool Suites::fetch(OfxHost *from) {
  if (!from || !from->fetchSuite) return false;
  auto suite = [from](const char *name, int version) {
    return from->fetchSuite(from->host, name, version);
  };
  host = from;
  property = static_cast<const OfxPropertySuiteV1 *>(suite(kOfxPropertySuite, 1));
  effect = static_cast<const OfxImageEffectSuiteV1 *>(suite(kOfxImageEffectSuite, 1));
  parameter = static_cast<const OfxParameterSuiteV1 *>(suite(kOfxParameterSuite, 1));
  message = static_cast<const OfxMessageSuiteV2 *>(suite(kOfxMessageSuite, 2));
  lasting_messages = message != nullptr;
  // Version 1 begins as version 2 does.
  if (!message) message = static_cast<const OfxMessageSuiteV2 *>(suite(kOfxMessageSuite, 1));
  return property && effect && parameter;
}

void Properties::set(const char *name, const std::string &value, int index) const {
  if (handle_) suites().property->propSetString(handle_, name, index, value.c_str());
}

void Properties::set(const char *name, int value, int index) const {
  if (handle_) suites().property->propSetInt(handle_, name, index, value);
}

void Properties::set(const char *name, double value, int index) const {
  if (handle_) suites().property->propSetDouble(handle_, name, index, value);
}

void Properties::set(const char *name, const OfxRectD &value) const {
  const double corners[] = {value.x1, value.y1, value.x2, value.y2};
  for (int i = 0; i < 4; ++i) set(name, corners[i], i);
}

std::string Properties::text(const char *name, int index) const {
  // The string is the application's and may be gone after the next call: it is copied at once.
  char *value = nullptr;
  if (!handle_ || suites().property->propGetString(handle_, name, index, &value) != kOfxStatOK) {
    return "";
  }
  return value ? value : "";
}

std::optional<int> Properties::integer(const char *name, int index) const {
  int value = 0;
  if (!handle_ || suites().property->propGetInt(handle_, name, index, &value) != kOfxStatOK) {
    return std::nullopt;
  }
  return value;
}

std::optional<double> Properties::number(const char *name, int index) const {
  double value = 0.0;
  if (!handle_ || suites().property->propGetDouble(handle_, name, index, &value) != kOfxStatOK) {
    return std::nullopt;
  }
  return value;
}

void *Properties::pointer(const char *name) const {
  void *value = nullptr;
  if (!handle_ || suites().property->propGetPointer(handle_, name, 0, &value) != kOfxStatOK) {
    return nullptr;
  }
  return value;
}

std::optional<OfxRectI> Properties::rectangle(const char *name) const {
  int corners[4] = {};
  for (int i = 0; i < 4; ++i) {
    auto corner = integer(name, i);
    if (!corner) return std::nullopt;
    corners[i] = *corner;
  }
  return OfxRectI{corners[0], corners[1], corners[2], corners[3]};
}

void tell(OfxImageEffectHandle effect, const std::string &sentence) {
  const Suites &all = suites();
  if (!all.message) return;
  if (all.lasting_messages) {
    all.message->setPersistentMessage(effect, kOfxMessageError, "relume", "%s", sentence.c_str());
  } else {
    all.message->message(effect, kOfxMessageError, "relume", "%s", sentence.c_str());
  }
}

void untell(OfxImageEffectHandle effect) {
  if (suites().lasting_messages) suites().message->clearPersistentMessage(effect);
}

void say(OfxImageEffectHandle effect, const std::string &sentence) {
  if (suites().message) {
    suites().message->message(effect, kOfxMessageMessage, "relume", "%s", sentence.c_str());
  }
}

std::string host_name() {
  Properties host(suites().host ? suites().host->host : nullptr);
  std::string name = host.text(kOfxPropLabel);
  if (name.empty()) name = host.text(kOfxPropName);
  return name.empty() ? "OpenFX" : name;
}

}  // namespace relume
