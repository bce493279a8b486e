// An effect in a comp: its clips, and what its parameters say.

#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "graph.h"
#include "host.h"
#include "table.h"

namespace relume {

// Parameters that every effect has beside its knobs, under names that no knob has.
extern const char kPassParam[];
extern const char kSpaceParam[];
extern const char kSpaceNameParam[];
extern const char kShotParam[];
extern const char kMeasureParam[];
extern const char kGraphFileParam[];
extern const char kGraphSaveParam[];

struct ClipHandle {
  OfxImageClipHandle clip = nullptr;
  Properties properties;

  bool connected() const;
};

class Instance {
 public:
  Instance(const Table &table, const Effect &effect, OfxImageEffectHandle handle);

  const Table &table;
  const Effect &effect;
  OfxImageEffectHandle handle;

  ClipHandle clip(const std::string &name) const;
  const Pass &pass() const;

  // What the parameters say at a frame; animated knobs are baked to keys at all of `frames`.
  // `scale` is the application's proxy, by which lengths in pixels shrink.
  Settled settle(double time, const std::set<int> &frames, double scale) const;

  // The colour space of a clip: what the artist says, else what the application says of the clip,
  // else the working space.
  std::string space(const std::string &clip) const;

  // The shot: what the artist says, else the range of Source, else the one frame.
  Shot shot(int frame) const;

  std::string text(const char *param) const;
  void set(const std::string &param, int value) const;
  void set(const std::string &param, double value) const;
  void enable(const std::string &param, bool on) const;

  // Follows a change the artist made.
  void changed(const std::string &param) const;

  // Lets switches grey out what they switch off.
  void refresh() const;

 private:
  OfxParamHandle param(const std::string &name) const;
  int integer(const std::string &name, double time, bool animates) const;
  Json value(const Param &param, double time, double scale) const;
  bool animating(const Param &param) const;

  OfxParamSetHandle params_ = nullptr;
};

// The nearest frame.
int frame_of(double time);

// Whether a frame range of the application is one: stills are said to last for ever.
bool is_range(double first, double last);

}  // namespace relume
