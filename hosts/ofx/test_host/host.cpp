#include "host.h"

#include <algorithm>
#include <cmath>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <stdexcept>
#include <utility>

namespace test_host {

namespace {

std::mutex guard;
std::vector<std::pair<std::string, std::string>> messages;

Properties *set_of(OfxPropertySetHandle handle) { return reinterpret_cast<Properties *>(handle); }
OfxPropertySetHandle handle_of(Properties &set) {
  return reinterpret_cast<OfxPropertySetHandle>(&set);
}
Effect *effect_of(OfxImageEffectHandle handle) { return reinterpret_cast<Effect *>(handle); }
Param *param_of(OfxParamHandle handle) { return reinterpret_cast<Param *>(handle); }

template <class T>
OfxStatus set_value(OfxPropertySetHandle handle, const char *name, int index, T value) {
  if (!handle) return kOfxStatErrBadHandle;
  if (index < 0) return kOfxStatErrBadIndex;
  set_of(handle)->set(name, index, value);
  return kOfxStatOK;
}

OfxStatus set_text(OfxPropertySetHandle handle, const char *name, int index, const char *value) {
  return set_value(handle, name, index, std::string(value));
}

template <class T>
OfxStatus get_value(OfxPropertySetHandle handle, const char *name, int index, T *value) {
  if (!handle) return kOfxStatErrBadHandle;
  auto found = set_of(handle)->values.find(name);
  if (found == set_of(handle)->values.end()) return kOfxStatErrUnknown;
  if (index < 0 || static_cast<std::size_t>(index) >= found->second.size()) {
    return kOfxStatErrBadIndex;
  }
  auto *held = std::get_if<T>(&found->second[static_cast<std::size_t>(index)]);
  if (!held) return kOfxStatErrValue;
  *value = *held;
  return kOfxStatOK;
}

OfxStatus get_text(OfxPropertySetHandle handle, const char *name, int index, char **value) {
  // Applications hand out strings that live until the next call only, so this one does as well.
  static thread_local std::string lent;
  std::string found;
  OfxStatus status = get_value(handle, name, index, &found);
  lent = found;
  *value = lent.data();
  return status;
}

OfxStatus none_n(OfxPropertySetHandle, const char *, int, ...) { return kOfxStatErrUnsupported; }

OfxStatus reset(OfxPropertySetHandle handle, const char *name) {
  set_of(handle)->values.erase(name);
  return kOfxStatOK;
}

OfxStatus dimension(OfxPropertySetHandle handle, const char *name, int *count) {
  auto found = set_of(handle)->values.find(name);
  *count = found == set_of(handle)->values.end() ? 0 : static_cast<int>(found->second.size());
  return kOfxStatOK;
}

template <class Function>
Function unused() {
  return reinterpret_cast<Function>(reinterpret_cast<void (*)()>(none_n));
}

const OfxPropertySuiteV1 property_suite = {
    set_value<void *>,
    set_text,
    set_value<double>,
    set_value<int>,
    unused<decltype(OfxPropertySuiteV1::propSetPointerN)>(),
    unused<decltype(OfxPropertySuiteV1::propSetStringN)>(),
    unused<decltype(OfxPropertySuiteV1::propSetDoubleN)>(),
    unused<decltype(OfxPropertySuiteV1::propSetIntN)>(),
    get_value<void *>,
    get_text,
    get_value<double>,
    get_value<int>,
    unused<decltype(OfxPropertySuiteV1::propGetPointerN)>(),
    unused<decltype(OfxPropertySuiteV1::propGetStringN)>(),
    unused<decltype(OfxPropertySuiteV1::propGetDoubleN)>(),
    unused<decltype(OfxPropertySuiteV1::propGetIntN)>(),
    reset,
    dimension,
};

OfxStatus effect_properties(OfxImageEffectHandle effect, OfxPropertySetHandle *set) {
  *set = handle_of(effect_of(effect)->properties);
  return kOfxStatOK;
}

OfxStatus effect_params(OfxImageEffectHandle effect, OfxParamSetHandle *set) {
  *set = reinterpret_cast<OfxParamSetHandle>(effect);
  return kOfxStatOK;
}

OfxStatus clip_define(OfxImageEffectHandle handle, const char *name, OfxPropertySetHandle *set) {
  auto clip = std::make_unique<Clip>();
  clip->name = name;
  *set = handle_of(clip->properties);
  effect_of(handle)->clips.push_back(std::move(clip));
  return kOfxStatOK;
}

// Clips know their effect, which keeps a list of what was fetched.
std::map<Clip *, Effect *> owners;

OfxStatus clip_handle(OfxImageEffectHandle handle, const char *name, OfxImageClipHandle *clip,
                      OfxPropertySetHandle *set) {
  std::lock_guard<std::mutex> lock(guard);
  Clip *found = effect_of(handle)->clip(name);
  if (!found) return kOfxStatErrUnknown;
  owners[found] = effect_of(handle);
  *clip = reinterpret_cast<OfxImageClipHandle>(found);
  if (set) *set = handle_of(found->properties);
  return kOfxStatOK;
}

OfxStatus clip_properties(OfxImageClipHandle clip, OfxPropertySetHandle *set) {
  *set = handle_of(reinterpret_cast<Clip *>(clip)->properties);
  return kOfxStatOK;
}

OfxStatus clip_image(OfxImageClipHandle handle, OfxTime time, const OfxRectD *,
                     OfxPropertySetHandle *set) {
  auto *clip = reinterpret_cast<Clip *>(handle);
  std::lock_guard<std::mutex> lock(guard);
  Effect *effect = owners.at(clip);
  Image *image = effect->output;
  if (clip->name != kOfxImageEffectOutputClipName) {
    int frame = static_cast<int>(std::lround(time));
    effect->fetched.emplace_back(clip->name, frame);
    auto begin = std::chrono::steady_clock::now();
    auto made = clip->image(frame);
    effect->own_seconds +=
        std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    if (!made) return kOfxStatFailed;
    image = made.release();
    image->properties.set("test_host.owned", 0, 1);
  }
  ++effect->images;
  image->properties.set("test_host.effect", 0, static_cast<void *>(effect));
  *set = reinterpret_cast<OfxPropertySetHandle>(image);
  return kOfxStatOK;
}

OfxStatus release_image(OfxPropertySetHandle handle) {
  auto *image = reinterpret_cast<Image *>(handle);
  std::lock_guard<std::mutex> lock(guard);
  --static_cast<Effect *>(std::get<void *>(image->properties.values["test_host.effect"][0]))->images;
  if (image->properties.values.count("test_host.owned")) delete image;
  return kOfxStatOK;
}

OfxStatus clip_region(OfxImageClipHandle handle, OfxTime, OfxRectD *region) {
  const OfxRectI &r = reinterpret_cast<Clip *>(handle)->region;
  *region = {static_cast<double>(r.x1), static_cast<double>(r.y1), static_cast<double>(r.x2),
             static_cast<double>(r.y2)};
  return kOfxStatOK;
}

int aborted(OfxImageEffectHandle handle) {
  return std::chrono::steady_clock::now() >= effect_of(handle)->stop ? 1 : 0;
}

const OfxImageEffectSuiteV1 effect_suite = {
    effect_properties, effect_params, clip_define, clip_handle, clip_properties,
    clip_image,        release_image, clip_region, aborted,     nullptr,
    nullptr,           nullptr,       nullptr,
};

OfxStatus param_define(OfxParamSetHandle set, const char *type, const char *name,
                       OfxPropertySetHandle *properties) {
  auto *effect = reinterpret_cast<Effect *>(set);
  if (effect->param(name)) return kOfxStatErrExists;
  auto param = std::make_unique<Param>();
  param->name = name;
  param->type = type;
  *properties = handle_of(param->properties);
  effect->params.push_back(std::move(param));
  return kOfxStatOK;
}

OfxStatus param_handle(OfxParamSetHandle set, const char *name, OfxParamHandle *param,
                       OfxPropertySetHandle *properties) {
  Param *found = reinterpret_cast<Effect *>(set)->param(name);
  if (!found) return kOfxStatErrUnknown;
  *param = reinterpret_cast<OfxParamHandle>(found);
  if (properties) *properties = handle_of(found->properties);
  return kOfxStatOK;
}

OfxStatus param_properties(OfxParamHandle param, OfxPropertySetHandle *set) {
  *set = handle_of(param_of(param)->properties);
  return kOfxStatOK;
}

bool is_whole(const Param &param) {
  return param.type == kOfxParamTypeInteger || param.type == kOfxParamTypeBoolean ||
         param.type == kOfxParamTypeChoice;
}

OfxStatus get(Param &param, double time, va_list values) {
  if (param.type == kOfxParamTypeString) {
    *va_arg(values, char **) = param.text.data();
  } else if (is_whole(param)) {
    *va_arg(values, int *) = static_cast<int>(std::lround(param.number(0, time)));
  } else {
    for (std::size_t i = 0; i < param.numbers.size(); ++i) {
      *va_arg(values, double *) = param.number(i, time);
    }
  }
  return kOfxStatOK;
}

OfxStatus param_get(OfxParamHandle param, ...) {
  va_list values;
  va_start(values, param);
  OfxStatus status = get(*param_of(param), 0.0, values);
  va_end(values);
  return status;
}

OfxStatus param_get_at(OfxParamHandle param, OfxTime time, ...) {
  va_list values;
  va_start(values, time);
  OfxStatus status = get(*param_of(param), time, values);
  va_end(values);
  return status;
}

OfxStatus param_set(OfxParamHandle handle, ...) {
  Param &param = *param_of(handle);
  va_list values;
  va_start(values, handle);
  if (param.type == kOfxParamTypeString) {
    param.text = va_arg(values, const char *);
  } else if (is_whole(param)) {
    param.numbers[0] = va_arg(values, int);
  } else {
    for (double &number : param.numbers) number = va_arg(values, double);
  }
  va_end(values);
  return kOfxStatOK;
}

OfxParameterSuiteV1 parameter_suite() {
  OfxParameterSuiteV1 suite = {};
  suite.paramDefine = param_define;
  suite.paramGetHandle = param_handle;
  suite.paramGetPropertySet = param_properties;
  suite.paramGetValue = param_get;
  suite.paramGetValueAtTime = param_get_at;
  suite.paramSetValue = param_set;
  return suite;
}

OfxStatus keep_message(const char *type, const char *format, va_list values) {
  char text[4096];
  std::vsnprintf(text, sizeof text, format, values);
  std::lock_guard<std::mutex> lock(guard);
  messages.emplace_back(type, text);
  return kOfxStatOK;
}

OfxStatus message(void *, const char *type, const char *, const char *format, ...) {
  va_list values;
  va_start(values, format);
  OfxStatus status = keep_message(type, format, values);
  va_end(values);
  return status;
}

OfxStatus no_message(void *) { return kOfxStatOK; }

const OfxMessageSuiteV2 message_suite = {message, message, no_message};

const void *fetch_suite(OfxPropertySetHandle, const char *name, int version) {
  static const OfxParameterSuiteV1 parameters = parameter_suite();
  const std::string wanted = name;
  if (wanted == kOfxMessageSuite && version <= 2) return &message_suite;
  if (version != 1) return nullptr;
  if (wanted == kOfxPropertySuite) return &property_suite;
  if (wanted == kOfxImageEffectSuite) return &effect_suite;
  if (wanted == kOfxParameterSuite) return &parameters;
  return nullptr;
}

}  // namespace

void Properties::set(const std::string &name, int index, Value value) {
  std::vector<Value> &held = values[name];
  if (held.size() <= static_cast<std::size_t>(index)) {
    held.resize(static_cast<std::size_t>(index) + 1);
  }
  held[static_cast<std::size_t>(index)] = std::move(value);
}

std::string Properties::text(const std::string &name, int index) const {
  auto found = values.find(name);
  if (found == values.end() || found->second.size() <= static_cast<std::size_t>(index)) return "";
  auto *text = std::get_if<std::string>(&found->second[static_cast<std::size_t>(index)]);
  return text ? *text : "";
}

Json Properties::json() const {
  Json all = Json::object();
  for (const auto &[name, held] : values) {
    Json list = Json::array();
    for (const Value &value : held) {
      if (auto *whole = std::get_if<int>(&value)) list.add(*whole);
      if (auto *real = std::get_if<double>(&value)) list.add(*real);
      if (auto *text = std::get_if<std::string>(&value)) list.add(*text);
    }
    all.set(name, list);
  }
  return all;
}

double Param::number(std::size_t index, double time) const {
  if (keys.empty()) return numbers.at(index);
  if (time <= keys.front().first) return keys.front().second;
  for (std::size_t i = 1; i < keys.size(); ++i) {
    auto [t0, v0] = keys[i - 1];
    auto [t1, v1] = keys[i];
    if (time <= t1) return v0 + (v1 - v0) * (time - t0) / (t1 - t0);
  }
  return keys.back().second;
}

Param *Effect::param(const std::string &name) {
  for (auto &param : params) {
    if (param->name == name) return param.get();
  }
  return nullptr;
}

Clip *Effect::clip(const std::string &name) {
  for (auto &clip : clips) {
    if (clip->name == name) return clip.get();
  }
  return nullptr;
}

std::vector<std::pair<std::string, std::string>> take_messages() {
  std::lock_guard<std::mutex> lock(guard);
  return std::exchange(messages, {});
}

OfxHost *host(const Json &says) {
  static Properties properties;
  static OfxHost one = {handle_of(properties), fetch_suite};
  properties.set(kOfxPropName, 0, std::string("relume.test_host"));
  properties.set(kOfxPropLabel, 0, std::string("Test host"));
  properties.set(kOfxImageEffectPropTemporalClipAccess, 0,
                 static_cast<int>(says["temporal"].integer(1)));
  return &one;
}

int channels_of(const std::string &components) {
  if (components == kOfxImageComponentRGBA) return 4;
  return components == kOfxImageComponentRGB ? 3 : 1;
}

std::vector<float> read_floats(const std::string &path) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) throw std::runtime_error(path + " cannot be read");
  std::vector<float> floats(static_cast<std::size_t>(file.tellg()) / sizeof(float));
  file.seekg(0);
  file.read(reinterpret_cast<char *>(floats.data()),
            static_cast<std::streamsize>(floats.size() * sizeof(float)));
  return floats;
}

std::unique_ptr<Image> make_image(const OfxRectI &bounds, const OfxRectI &region, int channels,
                                  bool downwards, int padding, float filler) {
  auto image = std::make_unique<Image>();
  int row = (bounds.x2 - bounds.x1) * channels * static_cast<int>(sizeof(float)) + padding;
  int height = bounds.y2 - bounds.y1;
  image->memory.resize(static_cast<std::size_t>(row) * height);
  auto *floats = reinterpret_cast<float *>(image->memory.data());
  std::fill_n(floats, image->memory.size() / sizeof(float), filler);
  // The pointer is to the lowest row, which lies last where rows run downwards.
  char *lowest = image->memory.data() + (downwards ? static_cast<std::size_t>(row) * (height - 1) : 0);
  Properties &p = image->properties;
  p.set(kOfxImagePropData, 0, static_cast<void *>(lowest));
  p.set(kOfxImagePropRowBytes, 0, downwards ? -row : row);
  const int b[] = {bounds.x1, bounds.y1, bounds.x2, bounds.y2};
  const int r[] = {region.x1, region.y1, region.x2, region.y2};
  for (int i = 0; i < 4; ++i) {
    p.set(kOfxImagePropBounds, i, b[i]);
    p.set(kOfxImagePropRegionOfDefinition, i, r[i]);
  }
  p.set(kOfxImageEffectPropPixelDepth, 0, std::string(kOfxBitDepthFloat));
  p.set(kOfxImageEffectPropComponents, 0,
        std::string(channels == 4   ? kOfxImageComponentRGBA
                    : channels == 3 ? kOfxImageComponentRGB
                                    : kOfxImageComponentAlpha));
  p.set(kOfxImagePropPixelAspectRatio, 0, 1.0);
  return image;
}

float *row_of(const Image &image, const OfxRectI &bounds, int y) {
  auto value = [&](const char *name) { return image.properties.values.at(name)[0]; };
  auto *lowest = static_cast<char *>(std::get<void *>(value(kOfxImagePropData)));
  std::ptrdiff_t step = std::get<int>(value(kOfxImagePropRowBytes));
  return reinterpret_cast<float *>(lowest + (y - bounds.y1) * step);
}

void write_floats(const std::string &path, const Image &image, const OfxRectI &bounds,
                  int channels) {
  std::ofstream file(path, std::ios::binary);
  auto bytes = static_cast<std::streamsize>(bounds.x2 - bounds.x1) * channels * sizeof(float);
  for (int y = bounds.y2 - 1; y >= bounds.y1; --y) {
    file.write(reinterpret_cast<const char *>(row_of(image, bounds, y)), bytes);
  }
}

std::unique_ptr<Image> Clip::image(int frame) const {
  auto file = files.find(frame);
  if (file == files.end()) file = files.find(0);
  if (file == files.end()) return nullptr;
  std::vector<float> floats = read_floats(file->second);
  bool downwards = source["downwards"].truth();
  int padding = static_cast<int>(source["padding"].integer());
  auto made = make_image(bounds, region, channels, downwards, padding, 0.0f);
  auto width = static_cast<std::size_t>(bounds.x2 - bounds.x1) * channels;
  if (floats.size() != width * (bounds.y2 - bounds.y1)) {
    throw std::runtime_error(file->second + " is not of the clip's size");
  }
  for (int y = bounds.y1; y < bounds.y2; ++y) {
    const float *from = floats.data() + width * (bounds.y2 - 1 - y);
    std::copy_n(from, width, row_of(*made, bounds, y));
  }
  Properties &p = made->properties;
  auto say = [&](const char *property, const char *key, const char *otherwise) {
    p.set(property, 0, source[key].is_null() ? std::string(otherwise) : source[key].text());
  };
  say(kOfxImageEffectPropPreMultiplication, "alpha", kOfxImagePreMultiplied);
  say(kOfxImageEffectPropPixelDepth, "depth", kOfxBitDepthFloat);
  p.set(kOfxImagePropPixelAspectRatio, 0, source["aspect"].number(1.0));
  return made;
}

}  // namespace test_host
