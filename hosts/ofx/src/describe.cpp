// What an effect says about itself.

#include <set>
#include <vector>

#include "actions.h"

namespace relume {

namespace {

const char kNativeConfig[] = "ofx-native-v1.5_aces-v1.3_ocio-v2.3";
const char kFarmGroup[] = "group_relume_farm";
const char kColourGroup[] = "group_relume_colour";

Properties define_clip(OfxImageEffectHandle handle, const std::string &name) {
  OfxPropertySetHandle properties = nullptr;
  suites().effect->clipDefine(handle, name.c_str(), &properties);
  return Properties(properties);
}

void define_clips(const Effect &effect, OfxImageEffectHandle handle, bool filter) {
  auto components = [](Properties clip, std::initializer_list<const char *> names) {
    int index = 0;
    for (const char *name : names) {
      clip.set(kOfxImageEffectPropSupportedComponents, name, index++);
    }
  };
  for (const Clip &declared : effect.clips) {
    // A filter has one input, the rest needs the general context.
    if (filter && declared.name != kOfxImageEffectSimpleSourceClipName) continue;
    Properties clip = define_clip(handle, declared.name);
    clip.set(kOfxPropLabel, declared.name);
    clip.set(kOfxImageEffectPropTemporalClipAccess, 1);
    clip.set(kOfxImageEffectPropSupportsTiles, 0);
    clip.set(kOfxImageClipPropOptional, declared.optional ? 1 : 0);
    if (declared.kind == ClipKind::mask) {
      clip.set(kOfxImageClipPropIsMask, 1);
      components(clip, {kOfxImageComponentAlpha, kOfxImageComponentRGBA});
    } else {
      components(clip, {kOfxImageComponentRGBA, kOfxImageComponentRGB});
    }
  }
  Properties output = define_clip(handle, kOfxImageEffectOutputClipName);
  output.set(kOfxImageEffectPropSupportsTiles, 0);
  components(output, {kOfxImageComponentRGBA, kOfxImageComponentRGB});
}

class Definer {
 public:
  explicit Definer(OfxImageEffectHandle handle) {
    suites().effect->getParamSet(handle, &params_);
  }

  Properties define(const char *type, const std::string &name, const std::string &label,
                    const std::string &hint, const std::string &parent) {
    OfxPropertySetHandle handle = nullptr;
    OfxStatus status =
        suites().parameter->paramDefine(params_, type, name.c_str(), &handle);
    Properties param(status == kOfxStatOK ? handle : nullptr);
    param.set(kOfxPropLabel, label);
    if (!hint.empty()) param.set(kOfxParamPropHint, hint);
    if (!parent.empty()) param.set(kOfxParamPropParent, parent);
    if (type != std::string(kOfxParamTypeGroup)) names_.push_back(name);
    return param;
  }

  void choice(Properties param, const std::vector<std::string> &options, int initial) {
    for (std::size_t i = 0; i < options.size(); ++i) {
      param.set(kOfxParamPropChoiceOption, options[i], static_cast<int>(i));
    }
    param.set(kOfxParamPropDefault, initial);
    param.set(kOfxParamPropAnimates, 0);
  }

  Properties words(const std::string &name, const std::string &label, const std::string &hint,
                   const std::string &parent, const std::string &initial, bool file) {
    Properties param = define(kOfxParamTypeString, name, label, hint, parent);
    param.set(kOfxParamPropStringMode,
              file ? kOfxParamStringIsFilePath : kOfxParamStringIsSingleLine);
    // A sequence is no file of that name, and a graph may not be written yet.
    if (file) param.set(kOfxParamPropStringFilePathExists, 0);
    param.set(kOfxParamPropDefault, initial);
    param.set(kOfxParamPropAnimates, 0);
    return param;
  }

  void declared(const Param &param);

  // Applications that show pages show the parameters in order.
  void page() {
    OfxPropertySetHandle handle = nullptr;
    suites().parameter->paramDefine(params_, kOfxParamTypePage, "relume_page", &handle);
    for (std::size_t i = 0; i < names_.size(); ++i) {
      Properties(handle).set(kOfxParamPropPageChild, names_[i], static_cast<int>(i));
    }
  }

 private:
  OfxParamSetHandle params_ = nullptr;
  std::vector<std::string> names_;
};

void Definer::declared(const Param &param) {
  auto make = [&](const char *type) {
    return define(type, param.name, param.label, param.hint, param.parent);
  };
  switch (param.type) {
    case ParamType::group:
      make(kOfxParamTypeGroup).set(kOfxParamPropGroupOpen, param.open ? 1 : 0);
      break;
    case ParamType::number: {
      Properties made = make(kOfxParamTypeDouble);
      made.set(kOfxParamPropDoubleType,
               param.angle ? kOfxParamDoubleTypeAngle : kOfxParamDoubleTypePlain);
      made.set(kOfxParamPropDefault, param.initial.number());
      made.set(kOfxParamPropMin, param.min);
      made.set(kOfxParamPropMax, param.max);
      made.set(kOfxParamPropDisplayMin, param.shown_min);
      made.set(kOfxParamPropDisplayMax, param.shown_max);
      made.set(kOfxParamPropAnimates, param.animates ? 1 : 0);
      break;
    }
    case ParamType::integer: {
      Properties made = make(kOfxParamTypeInteger);
      made.set(kOfxParamPropDefault, static_cast<int>(param.initial.integer()));
      made.set(kOfxParamPropMin, static_cast<int>(param.min));
      made.set(kOfxParamPropMax, static_cast<int>(param.max));
      made.set(kOfxParamPropDisplayMin, static_cast<int>(param.shown_min));
      made.set(kOfxParamPropDisplayMax, static_cast<int>(param.shown_max));
      made.set(kOfxParamPropAnimates, param.animates ? 1 : 0);
      break;
    }
    case ParamType::rgb: {
      Properties made = make(kOfxParamTypeRGB);
      for (int i = 0; i < 3; ++i) {
        made.set(kOfxParamPropDefault, param.initial.items().at(i).number(), i);
        made.set(kOfxParamPropMin, param.min, i);
        made.set(kOfxParamPropMax, param.max, i);
        made.set(kOfxParamPropDisplayMin, param.shown_min, i);
        made.set(kOfxParamPropDisplayMax, param.shown_max, i);
      }
      made.set(kOfxParamPropAnimates, param.animates ? 1 : 0);
      break;
    }
    case ParamType::boolean: {
      Properties made = make(kOfxParamTypeBoolean);
      made.set(kOfxParamPropDefault, static_cast<int>(param.initial.integer()));
      made.set(kOfxParamPropAnimates, 0);
      break;
    }
    case ParamType::choice:
      choice(make(kOfxParamTypeChoice), param.options,
             static_cast<int>(param.initial.integer()));
      break;
    case ParamType::file:
    case ParamType::string:
      words(param.name, param.label, param.hint, param.parent, param.initial.text(),
            param.type == ParamType::file);
      break;
  }
}

void define_pass(Definer &definer, const Effect &effect) {
  std::vector<std::string> options;
  std::string hint = "What to show.";
  for (const Pass &pass : effect.passes) {
    options.push_back(pass.name);
    hint += "\n" + pass.name + ": " + pass.doc;
  }
  definer.choice(definer.define(kOfxParamTypeChoice, kPassParam, "Pass", hint, ""), options, 0);
}

void define_colour(Definer &definer, const Table &table) {
  definer.define(kOfxParamTypeGroup, kColourGroup, "Colour and shot", "", "")
      .set(kOfxParamPropGroupOpen, 0);
  std::vector<std::string> options = {"What the application says, else ACEScg"};
  for (const auto &space : table.spaces) options.push_back(space.second);
  const std::string hint =
      "Colour space of the pictures that come in. Colour goes out in the same; data passes such as "
      "normals and mattes are never converted.";
  definer.choice(
      definer.define(kOfxParamTypeChoice, kSpaceParam, "Colour space", hint, kColourGroup),
      options, 0);
  definer.words(kSpaceNameParam, "Other colour space",
                "A colour space by its name in your OCIO configuration; where it is filled in, it "
                "counts.",
                kColourGroup, "", false);
  definer.words(kShotParam, "Shot",
                "First and last frame of the shot, such as 1001-1100. Empty for the range of "
                "Source. What is measured for the whole shot is measured on its first frame.",
                kColourGroup, "", false);
}

void define_farm(Definer &definer) {
  definer.define(kOfxParamTypeGroup, kFarmGroup, "Farm", "", "").set(kOfxParamPropGroupOpen, 0);
  Properties file = definer.words(kGraphFileParam, "Graph", "File the graph is written to.",
                                  kFarmGroup, "", true);
  file.set(kOfxParamPropEvaluateOnChange, 0);
  definer.define(kOfxParamTypePushButton, kGraphSaveParam, "Write the graph",
                 "Write what this effect does as a graph for `relume run`; its clips become files "
                 "that you name there.",
                 kFarmGroup);
}

}  // namespace

OfxStatus describe(const Effect &effect, OfxImageEffectHandle handle) {
  OfxPropertySetHandle set = nullptr;
  if (suites().effect->getPropertySet(handle, &set) != kOfxStatOK) return kOfxStatErrBadHandle;
  Properties own(set);
  own.set(kOfxPropLabel, effect.label);
  own.set(kOfxPropPluginDescription, effect.doc);
  own.set(kOfxImageEffectPluginPropGrouping, "Relume");
  own.set(kOfxImageEffectPropSupportedContexts, kOfxImageEffectContextGeneral, 0);
  own.set(kOfxImageEffectPropSupportedContexts, kOfxImageEffectContextFilter, 1);
  own.set(kOfxImageEffectPropSupportedPixelDepths, kOfxBitDepthFloat);
  own.set(kOfxImageEffectPropSupportsTiles, 0);
  own.set(kOfxImageEffectPropSupportsMultiResolution, 1);
  own.set(kOfxImageEffectPropTemporalClipAccess, 1);
  own.set(kOfxImageEffectPluginRenderThreadSafety, kOfxImageEffectRenderInstanceSafe);
  own.set(kOfxImageEffectPluginPropHostFrameThreading, 0);
  own.set(kOfxImageEffectPropClipPreferencesSlaveParam, kPassParam);
  own.set(kOfxImageEffectPropColourManagementStyle, kOfxImageEffectColourManagementFull);
  own.set(kOfxImageEffectPropColourManagementAvailableConfigs, kNativeConfig);
  return kOfxStatOK;
}

OfxStatus describe_in_context(const Table &table, const Effect &effect,
                              OfxImageEffectHandle handle, Properties in) {
  define_clips(effect, handle,
               in.text(kOfxImageEffectPropContext) == kOfxImageEffectContextFilter);
  Definer definer(handle);
  define_pass(definer, effect);
  bool measures = false;
  for (const Param &param : effect.params) {
    definer.declared(param);
    for (const auto &[step, knob] : param.targets) {
      if (step != "anchor" || knob != "stops" || measures) continue;
      measures = true;
      definer.define(kOfxParamTypePushButton, kMeasureParam, "Measure now",
                     "Measure the exposure of the shot's first frame and keep it: nothing has to "
                     "look at that frame again.",
                     param.parent);
    }
  }
  define_colour(definer, table);
  define_farm(definer);
  definer.page();
  return kOfxStatOK;
}

}  // namespace relume
