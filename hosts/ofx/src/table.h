// The effects, as `python -m relume.hosts.ofx.generate` writes them from the declarations.

#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "json.h"

namespace relume {

enum class ClipKind { colour, mask, vector };

struct Clip {
  std::string name;
  ClipKind kind = ClipKind::colour;
  bool optional = false;
  std::string doc;
  Json reader;  // the node that reads such a picture from a file: type, output, knobs
};

// What a port takes: references by label, best first; the label is "" where it takes one.
struct Port {
  std::string name;
  bool optional = false;
  bool many = false;
  bool first = false;  // reads the first frame of the shot
  int before = 0;      // frames read around the current one
  int after = 0;
  std::string spared_by;  // knob that makes the port needless once it is set
  std::vector<std::pair<std::string, std::vector<std::string>>> sources;
};

struct Step {
  std::string name;
  std::string type;
  std::string clip;            // the clip that an Input stands for
  std::string choice, option;  // there only under this option; empty for always
  Json fixed;
  std::vector<Port> ports;
};

enum class ParamType { group, number, integer, boolean, choice, rgb, file, string };

struct Param {
  std::string name, label, hint, parent;
  ParamType type = ParamType::string;
  bool open = false;
  bool animates = false;
  bool pixels = false;  // scaled with the application's proxy
  bool angle = false;
  double min = 0, max = 0, shown_min = 0, shown_max = 0;
  Json initial;   // what the application starts with
  Json standard;  // the same as a knob's value: graphs leave it out
  std::string knob;                         // kind of the knob
  std::vector<std::string> options;         // labels of a choice
  std::vector<Json> values;                 // what they stand for
  std::string chooses;                      // the choice of the graph this parameter is
  std::string switched_by;                  // boolean that says whether there is a value
  std::string selects, selects_option;      // choice that setting this file makes
  std::vector<std::pair<std::string, std::string>> targets;  // step, knob
};

struct Pass {
  std::string name, layer, doc;
  bool data = false;
  bool premultiplied = false;
  std::vector<std::string> sources;
};

struct Effect {
  std::string id, identifier, label, doc;
  unsigned version = 1;
  std::vector<Clip> clips;
  std::vector<Param> params;
  std::vector<Pass> passes;
  std::vector<Step> steps;

  const Clip *clip(const std::string &name) const;
};

struct Table {
  std::string relume;         // version
  std::string working_space;
  std::vector<std::pair<std::string, std::string>> spaces;  // id, name
  std::vector<Effect> effects;
};

// Reads a table; throws std::runtime_error with a sentence where that is not possible.
std::unique_ptr<Table> read_table(const std::string &path);

}  // namespace relume
