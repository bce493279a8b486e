// From clips to the worker and back.

#include "actions.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>

#include "client.h"
#include "failure.h"

namespace relume {

namespace {

// An image of the application, released when it is no longer looked at.
class Image {
 public:
  Image(const ClipHandle &clip, double time) {
    OfxPropertySetHandle handle = nullptr;
    OfxStatus status = suites().effect->clipGetImage(clip.clip, time, nullptr, &handle);
    if (status == kOfxStatOK) properties_ = Properties(handle);
  }
  ~Image() {
    if (properties_) suites().effect->clipReleaseImage(properties_.handle());
  }
  Image(const Image &) = delete;
  Image &operator=(const Image &) = delete;

  const Properties &properties() const { return properties_; }

  // Throws Failure where there are no float pixels.
  View view(const std::string &clip) const {
    View view;
    view.pixels = static_cast<char *>(properties_.pointer(kOfxImagePropData));
    view.bounds = properties_.rectangle(kOfxImagePropBounds).value_or(OfxRectI{});
    view.row_bytes = properties_.integer(kOfxImagePropRowBytes).value_or(0);
    if (!view.pixels || view.width() <= 0 || view.height() <= 0) {
      throw Failure(clip + " has no picture at this frame.");
    }
    std::string depth = properties_.text(kOfxImageEffectPropPixelDepth);
    if (depth != kOfxBitDepthFloat) {
      throw Failure(clip + " does not come as 32 bit float (" + depth + "). Set the application "
                    "to float.");
    }
    std::string components = properties_.text(kOfxImageEffectPropComponents);
    view.channels = components == kOfxImageComponentRGBA    ? 4
                    : components == kOfxImageComponentRGB   ? 3
                    : components == kOfxImageComponentAlpha ? 1
                                                            : 0;
    if (!view.channels) throw Failure(clip + " has channels that relume cannot read.");
    return view;
  }

 private:
  Properties properties_;
};

// The pixels that all pictures of a render are placed in: those Source is defined for, y down.
struct Format {
  OfxRectI region = {};
  double aspect = 1.0;

  int x(int upright) const { return upright - region.x1; }
  int y(int upright) const { return region.y2 - upright; }
};

Format format_of(const Image &image, const View &view) {
  Format format;
  format.region = image.properties().rectangle(kOfxImagePropRegionOfDefinition).value_or(view.bounds);
  bool empty = format.region.x2 <= format.region.x1 || format.region.y2 <= format.region.y1;
  if (empty) format.region = view.bounds;
  double aspect = image.properties().number(kOfxImagePropPixelAspectRatio).value_or(1.0);
  if (std::isfinite(aspect) && aspect > 0.0) format.aspect = aspect;
  return format;
}

Json meaning(const View &view, const Channels &channels, const Format &format,
             const std::string &colour, bool straight) {
  Json names = Json::array();
  for (const std::string &name : channels.names) names.add(name);
  const OfxRectI &region = format.region;
  return Json::object({
      {"width", view.width()},
      {"height", view.height()},
      {"channels", names},
      {"rows", "bottom_up"},
      {"x", format.x(view.bounds.x1)},
      {"y", format.y(view.bounds.y2)},
      {"display", Json::array({0, 0, region.x2 - region.x1, region.y2 - region.y1})},
      {"pixel_aspect", format.aspect},
      {"colour", colour},
      {"alpha", straight ? "straight" : "premultiplied"},
  });
}

// Refuses fields: a network sees a comb where an interlaced picture moves.
void refuse_fields(const Instance &instance, const std::string &name) {
  std::string order = instance.clip(name).properties.text(kOfxImageClipPropFieldOrder);
  if (order == kOfxImageFieldLower || order == kOfxImageFieldUpper) {
    throw Failure(name + " is interlaced, and relume works on whole frames. Deinterlace it first.");
  }
}

// A render in the making.
class Job {
 public:
  Job(const Instance &instance, double time, double scale, Stop stop)
      : instance_(instance), stop_(std::move(stop)), time_(time), frame_(frame_of(time)) {
    shot_ = instance.shot(frame_);
    settled_ = instance.settle(time, {}, scale);
    resolved_ = resolve(instance.effect, pass(), settled_, frame_, shot_);
    std::set<int> frames = {frame_};
    for (const auto &[step, at] : resolved_.frames) frames.insert(at.begin(), at.end());
    if (frames.size() > 1) settled_ = instance.settle(time, frames, scale);
  }

  const Pass &pass() const { return instance_.pass(); }
  const Format &format() const { return format_; }
  const Resolved &resolved() const { return resolved_; }

  Order order() {
    gather();
    Order order;
    order.graph = document(resolved_, settled_, instance_.table.working_space);
    order.frame = frame_;
    order.shot = std::to_string(shot_.first) + "-" + std::to_string(shot_.last);
    order.inputs = inputs_;
    return order;
  }

  const Stop &stop() const { return stop_; }

 private:
  double at(int frame) const { return frame == frame_ ? time_ : frame; }

  void gather() {
    const std::string source = kOfxImageEffectSimpleSourceClipName;
    Image now(instance_.clip(source), time_);
    format_ = format_of(now, now.view(source));
    for (const Step *step : resolved_.steps) {
      if (step->clip.empty()) continue;
      refuse_fields(instance_, step->clip);
      for (int frame : resolved_.frames.at(step->name)) {
        if (stop_()) throw Aborted();
        const Clip &clip = *instance_.effect.clip(step->clip);
        if (clip.name == source && frame == frame_) {
          inputs_[step->name][frame] = lend(clip, now);
        } else {
          inputs_[step->name][frame] = lend(clip, Image(instance_.clip(clip.name), at(frame)));
        }
      }
    }
  }

  std::shared_ptr<Picture> lend(const Clip &clip, const Image &image) {
    View view = image.view(clip.name);
    Channels channels = channels_of(clip.kind, view);
    std::string alpha = image.properties().text(kOfxImageEffectPropPreMultiplication);
    bool light = clip.kind == ClipKind::colour;
    std::string colour = light ? instance_.space(clip.name) : "data";
    Json meant = meaning(view, channels, format_, colour, light && alpha == kOfxImageUnPreMultiplied);
    return pictures().find(view, channels.order, std::move(meant));
  }

  const Instance &instance_;
  Stop stop_;
  double time_;
  int frame_;
  Shot shot_ = {0, 0};
  Settled settled_;
  Resolved resolved_;
  Format format_;
  std::map<std::string, std::map<int, std::shared_ptr<Picture>>> inputs_;
};

double scale_of(Properties in) { return in.number(kOfxImageEffectPropRenderScale).value_or(1.0); }

double time_of(Properties in) { return in.number(kOfxPropTime).value_or(0.0); }

Stop abortion(const Instance &instance) {
  return [handle = instance.handle] { return suites().effect->abort(handle) != 0; };
}

void copy_out(const Segment &from, const View &to, const OfxRectI &window) {
  std::size_t row = static_cast<std::size_t>(window.x2 - window.x1) * to.channels;
  const float *pixels = from.pixels();
  for (int y = window.y1; y < window.y2; ++y, pixels += row) {
    float *at = to.row(y) + static_cast<std::ptrdiff_t>(window.x1 - to.bounds.x1) * to.channels;
    std::memcpy(at, pixels, row * sizeof(float));
  }
}

void render_or_throw(const Instance &instance, Properties in) {
  const std::string output = kOfxImageEffectOutputClipName;
  double time = time_of(in);
  std::string field = in.text(kOfxImageEffectPropFieldToRender);
  if (field == kOfxImageFieldLower || field == kOfxImageFieldUpper) {
    throw Failure("The application asks for single fields, and relume works on whole frames. "
                  "Deinterlace first.");
  }
  Job job(instance, time, scale_of(in), abortion(instance));
  Order order = job.order();
  Image image(instance.clip(output), time);
  View view = image.view(output);
  OfxRectI window = in.rectangle(kOfxImageEffectPropRenderWindow).value_or(view.bounds);
  window = {std::max(window.x1, view.bounds.x1), std::max(window.y1, view.bounds.y1),
            std::min(window.x2, view.bounds.x2), std::min(window.y2, view.bounds.y2)};
  if (window.x2 <= window.x1 || window.y2 <= window.y1) return;

  Wanted wanted;
  wanted.output = job.resolved().reference;
  wanted.layer = job.pass().layer;
  static const char *const kNames[] = {"R", "G", "B", "A"};
  for (int i = 0; i < view.channels; ++i) wanted.channels.push_back(kNames[view.channels == 1 ? 3 : i]);
  const Format &format = job.format();
  wanted.window[0] = format.x(window.x1);
  wanted.window[1] = format.y(window.y2);
  wanted.window[2] = format.x(window.x2);
  wanted.window[3] = format.y(window.y1);
  wanted.colour = instance.space(kOfxImageEffectSimpleSourceClipName);
  wanted.alpha = "premultiplied";
  Answer answer = client().render(order, wanted, job.stop());
  copy_out(*answer.pixels, view, window);
}

}  // namespace

OfxStatus render(const Instance &instance, Properties in) {
  try {
    render_or_throw(instance, in);
    untell(instance.handle);
    return kOfxStatOK;
  } catch (const Aborted &) {
    return kOfxStatOK;  // the application does not want this picture any more
  } catch (const Failure &failure) {
    tell(instance.handle, failure.what());
    return kOfxStatFailed;
  }
}

void measure_anchor(const Instance &instance, Properties in) {
  try {
    Job job(instance, time_of(in), scale_of(in), abortion(instance));
    for (const Param &param : instance.effect.params) {
      bool stops = std::any_of(param.targets.begin(), param.targets.end(), [](const auto &target) {
        return target.first == "anchor" && target.second == "stops";
      });
      if (!stops) continue;
      // A value that is set measures nothing.
      instance.set(param.switched_by, 0);
      Job fresh(instance, time_of(in), scale_of(in), abortion(instance));
      double measured = client().number(fresh.order(), "anchor.out", fresh.stop());
      instance.set(param.name, measured);
      instance.set(param.switched_by, 1);
      instance.refresh();
    }
  } catch (const Aborted &) {
  } catch (const Failure &failure) {
    tell(instance.handle, failure.what());
  }
}

OfxStatus frames_needed(const Instance &instance, Properties in, Properties out) {
  int frame = frame_of(time_of(in));
  Resolved resolved;
  try {
    Settled settled = instance.settle(time_of(in), {}, 1.0);
    resolved = resolve(instance.effect, instance.pass(), settled, frame, instance.shot(frame));
  } catch (const Failure &) {
    return kOfxStatReplyDefault;  // rendering says what is wrong
  }
  bool others = false;
  for (const Step *step : resolved.steps) {
    if (step->clip.empty()) continue;
    std::string property = "OfxImageClipPropFrameRange_" + step->clip;
    int index = 0;
    for (int at : resolved.frames.at(step->name)) {
      out.set(property.c_str(), static_cast<double>(at), index++);
      out.set(property.c_str(), static_cast<double>(at), index++);
      others = others || at != frame;
    }
  }
  return others ? kOfxStatOK : kOfxStatReplyDefault;
}

void save_graph(const Instance &instance, Properties in) {
  try {
    std::string path = instance.text(kGraphFileParam);
    if (path.empty()) throw Failure("Name the file that the graph is to be written to.");
    int frame = frame_of(time_of(in));
    Shot shot = instance.shot(frame);
    std::set<int> frames;
    for (int at = shot.first; at <= shot.last; ++at) frames.insert(at);
    Settled settled = instance.settle(time_of(in), frames, 1.0);
    Resolved resolved = resolve(instance.effect, instance.pass(), settled, frame, shot);
    Json graph = farm_document(instance.effect, resolved, settled, instance.table.working_space,
                               instance.space(kOfxImageEffectSimpleSourceClipName), shot);
    std::ofstream file(path, std::ios::binary | std::ios::trunc);
    file << graph.write() << "\n";
    file.close();
    if (!file) throw Failure(path + " cannot be written.");
    say(instance.handle, path + " is written. Name its files and render it with `relume run`.");
  } catch (const Failure &failure) {
    tell(instance.handle, failure.what());
  }
}

}  // namespace relume
