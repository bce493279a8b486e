#include "graph.h"

#include <algorithm>

#include "failure.h"

namespace relume {

namespace {

std::string node_of(const std::string &reference) {
  return reference.substr(0, reference.find('.'));
}

// Which steps are there, and which reference of several is taken.
class Settling {
 public:
  Settling(const Effect &effect, const Settled &settled) : settled_(settled) {
    for (const Step &step : effect.steps) {
      if (is_there(step)) there_.insert(step.name);
    }
  }

  // The first reference whose step is there, or "".
  std::string taken(const std::vector<std::string> &sources) const {
    for (const std::string &source : sources) {
      if (there_.count(node_of(source))) return source;
    }
    return "";
  }

  bool spared(const Step &step, const Port &port) const {
    auto knobs = settled_.knobs.find(step.name);
    return !port.spared_by.empty() && knobs != settled_.knobs.end() &&
           knobs->second.count(port.spared_by);
  }

 private:
  bool is_there(const Step &step) const {
    if (!step.clip.empty()) return settled_.connected.count(step.clip) > 0;
    if (!step.choice.empty()) {
      auto chosen = settled_.chosen.find(step.choice);
      if (chosen == settled_.chosen.end() || chosen->second != step.option) return false;
    }
    return std::all_of(step.ports.begin(), step.ports.end(), [this](const Port &port) {
      return port.optional ||
             std::any_of(port.sources.begin(), port.sources.end(),
                         [this](const auto &source) { return !taken(source.second).empty(); });
    });
  }

  const Settled &settled_;
  std::set<std::string> there_;
};

[[noreturn]] void missing(const Effect &effect, const Pass &pass, const Settled &settled) {
  for (const Clip &clip : effect.clips) {
    if (!clip.optional && !settled.connected.count(clip.name)) {
      throw Failure(effect.label + ": connect " + clip.name + ". " + clip.doc);
    }
  }
  throw Failure(effect.label + ": the pass " + pass.name +
                " has nothing to show yet. Turn on a light, or connect what it is made from.");
}

}  // namespace

Resolved resolve(const Effect &effect, const Pass &pass, const Settled &settled, int frame,
                 Shot shot) {
  Settling settling(effect, settled);
  Resolved found;
  found.reference = settling.taken(pass.sources);
  if (found.reference.empty()) missing(effect, pass, settled);
  std::map<std::string, std::set<int>> frames = {{node_of(found.reference), {frame}}};
  // Backwards, every step comes after those that take from it, so that its frames are complete.
  for (auto step = effect.steps.rbegin(); step != effect.steps.rend(); ++step) {
    auto wanted = frames.find(step->name);
    if (wanted == frames.end()) continue;
    const std::set<int> at = wanted->second;
    if (!step->clip.empty()) found.frames[step->name] = at;
    Json inputs = Json::object();
    for (const Port &port : step->ports) {
      if (settling.spared(*step, port)) continue;
      Json many = Json::object();
      for (const auto &[label, sources] : port.sources) {
        std::string reference = settling.taken(sources);
        if (reference.empty()) continue;
        std::set<int> &upstream = frames[node_of(reference)];
        if (port.first) upstream.insert(shot.first);
        for (int now : at) {
          for (int offset = port.before; !port.first && offset <= port.after; ++offset) {
            upstream.insert(std::clamp(now + offset, shot.first, shot.last));
          }
        }
        if (port.many) {
          many.set(label, reference);
        } else {
          inputs.set(port.name, reference);
        }
      }
      if (!many.members().empty()) inputs.set(port.name, many);
    }
    found.inputs[step->name] = inputs;
    found.steps.push_back(&*step);
  }
  std::reverse(found.steps.begin(), found.steps.end());
  return found;
}

namespace {

Json node(const Step &step, const Resolved &resolved, const Settled &settled) {
  Json knobs = step.fixed;
  auto given = settled.knobs.find(step.name);
  if (given != settled.knobs.end()) {
    for (const auto &[name, value] : given->second) knobs.set(name, value);
  }
  Json entry = Json::object({{"type", step.type}});
  if (!knobs.members().empty()) entry.set("knobs", knobs);
  const Json &inputs = resolved.inputs.at(step.name);
  if (!inputs.members().empty()) entry.set("inputs", inputs);
  return entry;
}

// Input nodes are called by one output, readers by another.
Json renamed(const Json &wire, const std::map<std::string, std::string> &outputs) {
  if (wire.kind() == Json::Kind::text) {
    auto found = outputs.find(node_of(wire.text()));
    return found == outputs.end() ? wire : Json(found->first + "." + found->second);
  }
  Json copy = Json::object();
  for (const auto &[name, value] : wire.members()) copy.set(name, renamed(value, outputs));
  return copy;
}

}  // namespace

Json document(const Resolved &resolved, const Settled &settled, const std::string &working_space) {
  Json nodes = Json::object();
  for (const Step *step : resolved.steps) nodes.set(step->name, node(*step, resolved, settled));
  return Json::object({{"relume", 1}, {"working_space", working_space}, {"nodes", nodes}});
}

Json farm_document(const Effect &effect, const Resolved &resolved, const Settled &settled,
                   const std::string &working_space, const std::string &colour, Shot shot) {
  std::map<std::string, std::string> outputs;
  Json nodes = Json::object();
  for (const Step *step : resolved.steps) {
    const Clip *clip = step->clip.empty() ? nullptr : effect.clip(step->clip);
    if (clip) {
      Json knobs = clip->reader["knobs"];
      knobs.set("file", clip->name + ".####.exr");
      if (clip->kind == ClipKind::colour && !colour.empty()) knobs.set("colour", colour);
      nodes.set(step->name, Json::object({{"type", clip->reader["type"]}, {"knobs", knobs}}));
      outputs[step->name] = clip->reader["output"].text();
      continue;
    }
    Json entry = node(*step, resolved, settled);
    if (!entry["inputs"].is_null()) entry.set("inputs", renamed(entry["inputs"], outputs));
    nodes.set(step->name, entry);
  }
  Json knobs = Json::object({{"file", effect.id + ".####.exr"}});
  if (!colour.empty()) knobs.set("colour", colour);
  Json layers = Json::object({{"rgba", renamed(Json(resolved.reference), outputs)}});
  nodes.set("write", Json::object({{"type", "write"},
                                   {"knobs", knobs},
                                   {"inputs", Json::object({{"layers", layers}})}}));
  std::string range = std::to_string(shot.first) + "-" + std::to_string(shot.last);
  return Json::object({{"relume", 1},
                       {"note", "Name the files of the read and write nodes."},
                       {"shot", range},
                       {"working_space", working_space},
                       {"nodes", nodes}});
}

}  // namespace relume
