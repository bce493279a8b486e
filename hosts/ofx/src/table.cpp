#include "table.h"

#include <fstream>
#include <sstream>
#include <stdexcept>

namespace relume {

namespace {

constexpr int kFormat = 1;

std::vector<std::string> texts(const Json &array) {
  std::vector<std::string> found;
  for (const Json &item : array.items()) found.push_back(item.text());
  return found;
}

Clip read_clip(const Json &json) {
  Clip clip;
  clip.name = json["name"].text();
  const std::string &kind = json["kind"].text();
  clip.kind = kind == "mask"     ? ClipKind::mask
              : kind == "vector" ? ClipKind::vector
                                 : ClipKind::colour;
  clip.optional = json["optional"].truth();
  clip.doc = json["doc"].text();
  clip.reader = json["reader"];
  return clip;
}

Port read_port(const Json &json) {
  Port port;
  port.name = json["name"].text();
  port.optional = json["optional"].truth();
  port.many = json["many"].truth();
  port.first = json["first"].truth();
  const std::vector<Json> &frames = json["frames"].items();
  if (frames.size() == 2) {
    port.before = static_cast<int>(frames[0].integer());
    port.after = static_cast<int>(frames[1].integer());
  }
  port.spared_by = json["spared_by"].text();
  for (const auto &[label, references] : json["sources"].members()) {
    port.sources.emplace_back(label, texts(references));
  }
  return port;
}

Step read_step(const Json &json) {
  Step step;
  step.name = json["name"].text();
  step.type = json["type"].text();
  step.clip = json["clip"].text();
  const std::vector<Json> &when = json["when"].items();
  if (when.size() == 2) {
    step.choice = when[0].text();
    step.option = when[1].text();
  }
  step.fixed = json["fixed"];
  for (const Json &port : json["ports"].items()) step.ports.push_back(read_port(port));
  return step;
}

ParamType type_of(const std::string &name) {
  static const std::map<std::string, ParamType> kTypes = {
      {"group", ParamType::group},   {"double", ParamType::number},
      {"integer", ParamType::integer}, {"boolean", ParamType::boolean},
      {"choice", ParamType::choice}, {"rgb", ParamType::rgb},
      {"file", ParamType::file},     {"string", ParamType::string},
  };
  auto found = kTypes.find(name);
  if (found == kTypes.end()) throw std::runtime_error("there is no parameter type " + name);
  return found->second;
}

Param read_param(const Json &json) {
  Param param;
  param.name = json["name"].text();
  param.label = json["label"].text();
  param.hint = json["hint"].text();
  param.parent = json["parent"].text();
  param.type = type_of(json["type"].text());
  param.open = json["open"].truth();
  param.animates = json["animates"].truth();
  param.pixels = json["pixels"].truth();
  param.angle = json["angle"].truth();
  param.min = json["min"].number();
  param.max = json["max"].number();
  param.shown_min = json["shown_min"].number();
  param.shown_max = json["shown_max"].number();
  param.initial = json["default"];
  param.standard = json["standard"];
  param.knob = json["knob"].text();
  param.options = texts(json["options"]);
  param.values = json["values"].items();
  param.chooses = json["chooses"].text();
  param.switched_by = json["switch"].text();
  const std::vector<Json> &selects = json["selects"].items();
  if (selects.size() == 2) {
    param.selects = selects[0].text();
    param.selects_option = selects[1].text();
  }
  for (const Json &target : json["targets"].items()) {
    param.targets.emplace_back(target.items().at(0).text(), target.items().at(1).text());
  }
  return param;
}

Pass read_pass(const Json &json) {
  Pass pass;
  pass.name = json["name"].text();
  pass.layer = json["layer"].text();
  pass.doc = json["doc"].text();
  pass.data = json["data"].truth();
  pass.premultiplied = json["premultiplied"].truth();
  pass.sources = texts(json["sources"]);
  return pass;
}

Effect read_effect(const Json &json) {
  Effect effect;
  effect.id = json["id"].text();
  effect.identifier = json["identifier"].text();
  effect.label = json["label"].text();
  effect.doc = json["doc"].text();
  effect.version = static_cast<unsigned>(json["version"].integer(1));
  for (const Json &clip : json["clips"].items()) effect.clips.push_back(read_clip(clip));
  for (const Json &param : json["params"].items()) effect.params.push_back(read_param(param));
  for (const Json &pass : json["passes"].items()) effect.passes.push_back(read_pass(pass));
  for (const Json &step : json["steps"].items()) effect.steps.push_back(read_step(step));
  return effect;
}

}  // namespace

const Clip *Effect::clip(const std::string &wanted) const {
  for (const Clip &clip : clips) {
    if (clip.name == wanted) return &clip;
  }
  return nullptr;
}

std::unique_ptr<Table> read_table(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  if (!file) throw std::runtime_error(path + " cannot be read");
  Json json = Json::parse(text.str());
  if (json["format"].integer() != kFormat) {
    throw std::runtime_error(path + " is that of another version of the bundle");
  }
  auto table = std::make_unique<Table>();
  table->relume = json["relume"].text();
  table->working_space = json["working_space"].text();
  for (const Json &space : json["spaces"].items()) {
    table->spaces.emplace_back(space.items().at(0).text(), space.items().at(1).text());
  }
  for (const Json &effect : json["effects"].items()) {
    table->effects.push_back(read_effect(effect));
  }
  return table;
}

}  // namespace relume
