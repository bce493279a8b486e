#include "instance.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <sstream>

#include "failure.h"

namespace relume {

const char kPassParam[] = "relume_pass";
const char kSpaceParam[] = "relume_space";
const char kSpaceNameParam[] = "relume_space_name";
const char kShotParam[] = "relume_shot";
const char kMeasureParam[] = "relume_measure_anchor";
const char kGraphFileParam[] = "relume_graph_file";
const char kGraphSaveParam[] = "relume_graph_save";

namespace {

constexpr double kLongestShot = 1e6;

// Splits a list at commas, each item without the blanks around it.
std::vector<std::string> items_of(const std::string &list) {
  std::vector<std::string> found;
  std::istringstream stream(list);
  for (std::string item; std::getline(stream, item, ',');) {
    auto begin = item.find_first_not_of(" \t");
    if (begin == item.npos) continue;
    found.push_back(item.substr(begin, item.find_last_not_of(" \t") - begin + 1));
  }
  return found;
}

// A list of numbers stays text where it is none: the worker then says what is wrong with it.
Json list_of(const std::string &text, bool words) {
  Json list = Json::array();
  for (const std::string &item : items_of(text)) {
    Json number;
    if (!words) {
      try {
        number = Json::parse(item);
      } catch (const std::runtime_error &) {
      }
    }
    bool numeric = number.kind() == Json::Kind::integer || number.kind() == Json::Kind::real;
    list.add(numeric ? number : Json(item));
  }
  return list;
}

}  // namespace

int frame_of(double time) { return static_cast<int>(std::lround(time)); }

bool is_range(double first, double last) { return last >= first && last - first < kLongestShot; }

bool ClipHandle::connected() const {
  return clip && properties.integer(kOfxImageClipPropConnected).value_or(0) != 0;
}

Instance::Instance(const Table &all, const Effect &one, OfxImageEffectHandle made)
    : table(all), effect(one), handle(made) {
  suites().effect->getParamSet(handle, &params_);
}

ClipHandle Instance::clip(const std::string &name) const {
  ClipHandle found;
  OfxPropertySetHandle properties = nullptr;
  OfxStatus status =
      suites().effect->clipGetHandle(handle, name.c_str(), &found.clip, &properties);
  if (status != kOfxStatOK || !found.clip) return {};
  if (!properties) suites().effect->clipGetPropertySet(found.clip, &properties);
  found.properties = Properties(properties);
  return found;
}

OfxParamHandle Instance::param(const std::string &name) const {
  OfxParamHandle found = nullptr;
  OfxStatus status =
      suites().parameter->paramGetHandle(params_, name.c_str(), &found, nullptr);
  return status == kOfxStatOK ? found : nullptr;
}

int Instance::integer(const std::string &name, double time, bool animates) const {
  int value = 0;
  OfxParamHandle knob = param(name);
  if (!knob) return 0;
  if (!animates || suites().parameter->paramGetValueAtTime(knob, time, &value) != kOfxStatOK) {
    suites().parameter->paramGetValue(knob, &value);
  }
  return value;
}

std::string Instance::text(const char *name) const {
  char *value = nullptr;
  OfxParamHandle knob = param(name);
  if (!knob || suites().parameter->paramGetValue(knob, &value) != kOfxStatOK) return "";
  return value ? value : "";
}

void Instance::set(const std::string &name, int value) const {
  if (OfxParamHandle knob = param(name)) suites().parameter->paramSetValue(knob, value);
}

void Instance::set(const std::string &name, double value) const {
  if (OfxParamHandle knob = param(name)) suites().parameter->paramSetValue(knob, value);
}

void Instance::enable(const std::string &name, bool on) const {
  OfxParamHandle knob = param(name);
  OfxPropertySetHandle properties = nullptr;
  if (knob && suites().parameter->paramGetPropertySet(knob, &properties) == kOfxStatOK) {
    Properties(properties).set(kOfxParamPropEnabled, on ? 1 : 0);
  }
}

const Pass &Instance::pass() const {
  auto index = static_cast<std::size_t>(std::max(0, integer(kPassParam, 0.0, false)));
  return effect.passes[std::min(index, effect.passes.size() - 1)];
}

bool Instance::animating(const Param &declared) const {
  OfxPropertySetHandle properties = nullptr;
  OfxParamHandle knob = declared.animates ? param(declared.name) : nullptr;
  if (!knob || suites().parameter->paramGetPropertySet(knob, &properties) != kOfxStatOK) {
    return false;
  }
  return Properties(properties).integer(kOfxParamPropIsAnimating).value_or(0) != 0;
}

Json Instance::value(const Param &declared, double time, double scale) const {
  OfxParamHandle knob = param(declared.name);
  if (!knob) return declared.initial;
  const OfxParameterSuiteV1 &suite = *suites().parameter;
  // Not every application answers for a time what it answers for now.
  auto get = [&](auto *...values) {
    bool done = declared.animates &&
                suite.paramGetValueAtTime(knob, time, values...) == kOfxStatOK;
    if (!done) suite.paramGetValue(knob, values...);
  };
  double shrink = declared.pixels ? scale : 1.0;
  switch (declared.type) {
    case ParamType::number: {
      double number = 0.0;
      get(&number);
      return std::clamp(number * shrink, declared.min, declared.max);
    }
    case ParamType::integer: {
      int number = 0;
      get(&number);
      double scaled = std::clamp(std::round(number * shrink), declared.min, declared.max);
      return static_cast<std::int64_t>(scaled);
    }
    case ParamType::rgb: {
      double r = 0.0, g = 0.0, b = 0.0;
      get(&r, &g, &b);
      return Json::array({r, g, b});
    }
    case ParamType::boolean:
      return integer(declared.name, time, false) != 0;
    case ParamType::choice: {
      auto index = static_cast<std::size_t>(std::max(0, integer(declared.name, time, false)));
      return index < declared.values.size() ? declared.values[index] : declared.initial;
    }
    default: break;
  }
  std::string written = text(declared.name.c_str());
  if (declared.knob == "ints" || declared.knob == "floats") return list_of(written, false);
  if (declared.knob == "texts") return list_of(written, true);
  return written;
}

Settled Instance::settle(double time, const std::set<int> &frames, double scale) const {
  Settled settled;
  for (const Clip &clip : effect.clips) {
    if (this->clip(clip.name).connected()) settled.connected.insert(clip.name);
  }
  for (const Param &declared : effect.params) {
    if (!declared.chooses.empty()) {
      settled.chosen[declared.chooses] = value(declared, time, scale).text();
      continue;
    }
    if (declared.targets.empty()) continue;
    if (!declared.switched_by.empty() && !integer(declared.switched_by, time, false)) continue;
    Json now = value(declared, time, scale);
    if (frames.size() > 1 && animating(declared)) {
      Json keys = Json::array();
      for (int frame : frames) {
        double at = frame == frame_of(time) ? time : frame;
        keys.add(Json::array({frame, value(declared, at, scale)}));
      }
      now = Json::object({{"keys", keys}});
    } else if (declared.switched_by.empty() && now == declared.standard) {
      continue;
    }
    for (const auto &[step, knob] : declared.targets) settled.knobs[step][knob] = now;
  }
  return settled;
}

std::string Instance::space(const std::string &name) const {
  std::string named = text(kSpaceNameParam);
  if (!named.empty()) return named;
  int index = integer(kSpaceParam, 0.0, false);
  if (index > 0 && static_cast<std::size_t>(index) <= table.spaces.size()) {
    return table.spaces[static_cast<std::size_t>(index) - 1].first;
  }
  std::string said = clip(name).properties.text(kOfxImageClipPropColourspace);
  // Names that begin so stand for a family of spaces, so they say nothing about the primaries.
  bool family = said.compare(0, 4, "ofx_") == 0;
  return said.empty() || family ? table.working_space : said;
}

Shot Instance::shot(int frame) const {
  std::string said = text(kShotParam);
  if (!said.empty()) {
    Shot named = {};
    char rest = 0;
    int count = std::sscanf(said.c_str(), "%d - %d %c", &named.first, &named.last, &rest);
    if (count == 1) {
      count = std::sscanf(said.c_str(), "%d %c", &named.last, &rest) + 1;
    }
    if (count != 2) {
      throw Failure("'" + said + "' is not a shot. Give its first and last frame, such as "
                    "1001-1100.");
    }
    if (named.last < named.first) throw Failure("The shot " + said + " ends before it begins.");
    return named;
  }
  Properties host(suites().host->host);
  bool temporal = host.integer(kOfxImageEffectPropTemporalClipAccess).value_or(0) != 0;
  Properties source = clip(kOfxImageEffectSimpleSourceClipName).properties;
  auto first = source.number(kOfxImageEffectPropFrameRange, 0);
  auto last = source.number(kOfxImageEffectPropFrameRange, 1);
  if (!temporal || !first || !last || !is_range(*first, *last)) return {frame, frame};
  Shot shot = {frame_of(*first), frame_of(*last)};
  // Beyond its material an application shows something too: that is a shot of its own.
  return frame < shot.first || frame > shot.last ? Shot{frame, frame} : shot;
}

void Instance::changed(const std::string &name) const {
  for (const Param &declared : effect.params) {
    if (declared.name != name || declared.selects.empty() || text(name.c_str()).empty()) continue;
    // Whoever names a file wants it used.
    for (const Param &choice : effect.params) {
      auto found = std::find(choice.values.begin(), choice.values.end(),
                             Json(declared.selects_option));
      if (choice.name == declared.selects && found != choice.values.end()) {
        set(choice.name, static_cast<int>(found - choice.values.begin()));
      }
    }
  }
  refresh();
}

void Instance::refresh() const {
  for (const Param &declared : effect.params) {
    if (!declared.switched_by.empty()) {
      enable(declared.name, integer(declared.switched_by, 0.0, false) != 0);
    }
  }
}

}  // namespace relume
