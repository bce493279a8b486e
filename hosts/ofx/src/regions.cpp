// Where an effect has pixels, what it looks at, and what comes out of it.

#include "actions.h"

namespace relume {

namespace {

const char kRaw[] = "ofx_raw";

bool region(const Instance &instance, const std::string &clip, double time, OfxRectD &found) {
  ClipHandle handle = instance.clip(clip);
  found = {0.0, 0.0, 0.0, 0.0};
  if (!handle.connected()) return false;
  OfxStatus status = suites().effect->clipGetRegionOfDefinition(handle.clip, time, &found);
  return status == kOfxStatOK && found.x2 > found.x1 && found.y2 > found.y1;
}

}  // namespace

OfxStatus clip_preferences(const Instance &instance, Properties out) {
  const Pass &pass = instance.pass();
  out.set("OfxImageClipPropComponents_Output", kOfxImageComponentRGBA);
  out.set("OfxImageClipPropDepth_Output", kOfxBitDepthFloat);
  out.set(kOfxImageEffectPropPreMultiplication,
          pass.premultiplied ? kOfxImagePreMultiplied : kOfxImageOpaque);
  for (const Clip &clip : instance.effect.clips) {
    std::string property = "OfxImageClipPropDepth_" + clip.name;
    if (instance.clip(clip.name).connected()) out.set(property.c_str(), kOfxBitDepthFloat);
  }
  return kOfxStatOK;
}

OfxStatus output_colourspace(const Instance &instance, Properties out) {
  out.set(kOfxImageClipPropColourspace,
          instance.pass().data ? kRaw : "OfxColourspace_Source");
  return kOfxStatOK;
}

OfxStatus region_of_definition(const Instance &instance, Properties in, Properties out) {
  OfxRectD source;
  double time = in.number(kOfxPropTime).value_or(0.0);
  if (!region(instance, kOfxImageEffectSimpleSourceClipName, time, source)) {
    return kOfxStatReplyDefault;
  }
  out.set(kOfxImageEffectPropRegionOfDefinition, source);
  return kOfxStatOK;
}

OfxStatus regions_of_interest(const Instance &instance, Properties in, Properties out) {
  // A network sees the whole picture, whatever part of the result is asked for.
  double time = in.number(kOfxPropTime).value_or(0.0);
  for (const Clip &clip : instance.effect.clips) {
    OfxRectD whole;
    if (!region(instance, clip.name, time, whole)) continue;
    out.set(("OfxImageClipPropRoI_" + clip.name).c_str(), whole);
  }
  return kOfxStatOK;
}

}  // namespace relume
