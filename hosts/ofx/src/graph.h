// The graph of a render: alternatives settled, and the frames it needs of each clip.

#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "json.h"
#include "table.h"

namespace relume {

// What is settled of an effect's graph before it is rendered.
struct Settled {
  std::set<std::string> connected;                           // clips
  std::map<std::string, std::string> chosen;                 // choice → option
  std::map<std::string, std::map<std::string, Json>> knobs;  // step → knob → value
};

struct Shot {
  int first;
  int last;
};

struct Resolved {
  std::vector<const Step *> steps;              // those needed, inputs first
  std::map<std::string, Json> inputs;           // step → the wires of its ports
  std::string reference;                        // what the pass comes to
  std::map<std::string, std::set<int>> frames;  // Input step → frames needed of it
};

// Settles what a pass comes to at a frame. Throws Failure where a clip or a light is missing.
Resolved resolve(const Effect &effect, const Pass &pass, const Settled &settled, int frame,
                 Shot shot);

// The document that the worker renders.
Json document(const Resolved &resolved, const Settled &settled, const std::string &working_space);

// The same for a farm, which has no clips: they give way to nodes that read files, and the picture
// is written.
Json farm_document(const Effect &effect, const Resolved &resolved, const Settled &settled,
                   const std::string &working_space, const std::string &colour, Shot shot);

}  // namespace relume
