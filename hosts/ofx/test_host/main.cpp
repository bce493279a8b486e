// test_host BUNDLE.ofx SCRIPT.json: carries out a script and prints what came of it as JSON.

#include <dlfcn.h>

#include <fstream>
#include <future>
#include <iostream>
#include <limits>
#include <sstream>
#include <stdexcept>

#include "host.h"

namespace {

using namespace test_host;

constexpr float kUntouched = -12345.0f;

struct Loaded {
  OfxPlugin *plugin = nullptr;
  Effect descriptor, context;
};

OfxPropertySetHandle handle(Properties &set) { return reinterpret_cast<OfxPropertySetHandle>(&set); }

class Application {
 public:
  Application(const std::string &path, const Json &script) : script_(script) {
    library_ = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!library_) throw std::runtime_error(dlerror());
    auto count = reinterpret_cast<int (*)()>(dlsym(library_, "OfxGetNumberOfPlugins"));
    auto get = reinterpret_cast<OfxPlugin *(*)(int)>(dlsym(library_, "OfxGetPlugin"));
    if (!count || !get) throw std::runtime_error("the library shows no plug-ins");
    for (int i = 0; i < count(); ++i) load(get(i));
  }

  ~Application() {
    for (auto &[name, effect] : instances_) {
      loaded_.at(names_.at(name)).plugin->mainEntry(kOfxActionDestroyInstance, &effect, nullptr,
                                                    nullptr);
    }
    for (auto &[name, plugin] : loaded_) {
      plugin.plugin->mainEntry(kOfxActionUnload, nullptr, nullptr, nullptr);
    }
    dlclose(library_);
  }

  Json run() {
    Json results = Json::array();
    for (const Json &step : script_["steps"].items()) results.add(carry_out(step));
    return results;
  }

  Json identifiers() const {
    Json names = Json::array();
    for (const auto &[name, plugin] : loaded_) names.add(name);
    return names;
  }

 private:
  void load(OfxPlugin *plugin) {
    Loaded &made = loaded_[plugin->pluginIdentifier];
    made.plugin = plugin;
    plugin->setHost(host(script_["host"]));
    check(plugin->mainEntry(kOfxActionLoad, nullptr, nullptr, nullptr), "load");
    check(plugin->mainEntry(kOfxActionDescribe, &made.descriptor, nullptr, nullptr), "describe");
    Properties in;
    std::string context = script_["context"].text();
    in.set(kOfxImageEffectPropContext, 0,
           context.empty() ? std::string(kOfxImageEffectContextGeneral) : context);
    check(plugin->mainEntry(kOfxImageEffectActionDescribeInContext, &made.context, handle(in),
                            nullptr),
          "describe in context");
  }

  static void check(OfxStatus status, const char *what) {
    if (status != kOfxStatOK && status != kOfxStatReplyDefault) {
      throw std::runtime_error(std::string(what) + " returned " + std::to_string(status));
    }
  }

  Effect &instance(const Json &step) {
    const std::string &name = step["on"].text();
    auto found = instances_.find(name);
    if (found != instances_.end()) return found->second;
    std::string identifier = script_["instances"][name].text();
    names_[name] = identifier;
    Loaded &loaded = loaded_.at(identifier);
    Effect &made = instances_[name];
    made.stop = std::chrono::steady_clock::time_point::max();
    for (auto &described : loaded.context.params) {
      auto param = std::make_unique<Param>(*described);
      auto initial = param->properties.values.find(kOfxParamPropDefault);
      if (initial != param->properties.values.end()) {
        for (const Value &value : initial->second) {
          if (auto *whole = std::get_if<int>(&value)) param->numbers.push_back(*whole);
          if (auto *real = std::get_if<double>(&value)) param->numbers.push_back(*real);
          if (auto *text = std::get_if<std::string>(&value)) param->text = *text;
        }
      }
      made.params.push_back(std::move(param));
    }
    for (auto &described : loaded.context.clips) made.clips.push_back(clip(*described));
    check(loaded.plugin->mainEntry(kOfxActionCreateInstance, &made, nullptr, nullptr), "create");
    return made;
  }

  std::unique_ptr<Clip> clip(const Clip &described) {
    auto made = std::make_unique<Clip>(described);
    const Json &says = script_["clips"][made->name];
    made->source = says;
    auto rectangle = [](const Json &corners) {
      auto at = [&corners](std::size_t i) { return static_cast<int>(corners.items().at(i).integer()); };
      return OfxRectI{at(0), at(1), at(2), at(3)};
    };
    Properties &p = made->properties;
    p.set(kOfxImageClipPropConnected, 0, says.is_null() ? 0 : 1);
    if (says.is_null()) return made;
    made->bounds = rectangle(says["bounds"]);
    made->region = says["region"].is_null() ? made->bounds : rectangle(says["region"]);
    made->channels = channels_of(says["components"].text());
    double first = std::numeric_limits<int>::max(), last = std::numeric_limits<int>::min();
    for (const auto &[frame, file] : says["files"].members()) {
      int number = std::stoi(frame);
      made->files[number] = file.text();
      first = std::min(first, static_cast<double>(number));
      last = std::max(last, static_cast<double>(number));
    }
    p.set(kOfxImageEffectPropFrameRange, 0, first);
    p.set(kOfxImageEffectPropFrameRange, 1, last);
    if (!says["fields"].is_null()) p.set(kOfxImageClipPropFieldOrder, 0, says["fields"].text());
    if (!says["colourspace"].is_null()) {
      p.set(kOfxImageClipPropColourspace, 0, says["colourspace"].text());
    }
    return made;
  }

  OfxStatus act(const Json &step, const char *action, Properties *in, Properties *out) {
    Effect &effect = instance(step);
    OfxPlugin *plugin = loaded_.at(names_.at(step["on"].text())).plugin;
    return plugin->mainEntry(action, &effect, in ? handle(*in) : nullptr,
                             out ? handle(*out) : nullptr);
  }

  Json carry_out(const Json &step) {
    const std::string &what = step["do"].text();
    if (what == "describe") return description(step["effect"].text());
    if (what == "set") return set(step);
    if (what == "push") return change(step, step["param"].text());
    if (what == "render") return render(step);
    if (what == "together") return together(step);
    if (what == "purge") return status(act(step, kOfxActionPurgeCaches, nullptr, nullptr));
    if (what == "param") return value(step);
    static const std::map<std::string, const char *> kQuestions = {
        {"preferences", kOfxImageEffectActionGetClipPreferences},
        {"colourspace", kOfxImageEffectActionGetOutputColourspace},
        {"region", kOfxImageEffectActionGetRegionOfDefinition},
        {"interest", kOfxImageEffectActionGetRegionsOfInterest},
        {"frames", kOfxImageEffectActionGetFramesNeeded},
    };
    Properties in = arguments(step), out;
    OfxStatus answer = act(step, kQuestions.at(what), &in, &out);
    Json result = status(answer);
    result.set("out", out.json());
    return result;
  }

  static Properties arguments(const Json &step) {
    Properties in;
    in.set(kOfxPropTime, 0, step["time"].number());
    double scale = step["scale"].number(1.0);
    for (int i = 0; i < 2; ++i) in.set(kOfxImageEffectPropRenderScale, i, scale);
    return in;
  }

  static Json status(OfxStatus answer) {
    Json messages = Json::array();
    for (const auto &[type, text] : take_messages()) messages.add(Json::array({type, text}));
    return Json::object({{"status", answer}, {"messages", messages}});
  }

  Json description(const std::string &identifier) {
    Loaded &loaded = loaded_.at(identifier);
    Json params = Json::object(), clips = Json::object();
    for (const auto &param : loaded.context.params) {
      Json said = param->properties.json();
      said.set("type", param->type);
      params.set(param->name, said);
    }
    for (const auto &one : loaded.context.clips) clips.set(one->name, one->properties.json());
    return Json::object({{"effect", loaded.descriptor.properties.json()},
                         {"params", params},
                         {"clips", clips}});
  }

  Json set(const Json &step) {
    Effect &effect = instance(step);
    Json last;
    for (const auto &[name, given] : step["params"].members()) {
      Param *param = effect.param(name);
      if (!param) throw std::runtime_error("there is no parameter " + name);
      param->keys.clear();
      if (given.kind() == Json::Kind::text) {
        param->text = given.text();
      } else if (given.kind() == Json::Kind::object) {
        for (const Json &key : given["keys"].items()) {
          param->keys.emplace_back(key.items().at(0).number(), key.items().at(1).number());
        }
        param->properties.set(kOfxParamPropIsAnimating, 0, 1);
      } else if (given.kind() == Json::Kind::array) {
        param->numbers.clear();
        for (const Json &number : given.items()) param->numbers.push_back(number.number());
      } else {
        param->numbers = {given.kind() == Json::Kind::boolean ? given.truth() : given.number()};
      }
      last = change(step, name);
    }
    return last;
  }

  Json change(const Json &step, const std::string &name) {
    Properties in = arguments(step);
    in.set(kOfxPropType, 0, std::string(kOfxTypeParameterInstance));
    in.set(kOfxPropName, 0, name);
    in.set(kOfxPropChangeReason, 0, std::string(kOfxChangeUserEdited));
    return status(act(step, kOfxActionInstanceChanged, &in, nullptr));
  }

  Json value(const Json &step) {
    Param *param = instance(step).param(step["param"].text());
    Json numbers = Json::array();
    for (double number : param->numbers) numbers.add(number);
    return Json::object({{"numbers", numbers},
                         {"text", param->text},
                         {"properties", param->properties.json()}});
  }

  // Renders into memory whose every float is known beforehand, so that nothing is written unseen.
  Json render(const Json &step) {
    Effect &effect = instance(step);
    const Clip &source = *effect.clip(kOfxImageEffectSimpleSourceClipName);
    const Json &out = step["output"];
    OfxRectI bounds = source.bounds;
    auto corner = [](const Json &corners, std::size_t i) {
      return static_cast<int>(corners.items().at(i).integer());
    };
    if (!out["bounds"].is_null()) {
      bounds = {corner(out["bounds"], 0), corner(out["bounds"], 1), corner(out["bounds"], 2),
                corner(out["bounds"], 3)};
    }
    OfxRectI window = bounds;
    if (!step["window"].is_null()) {
      window = {corner(step["window"], 0), corner(step["window"], 1), corner(step["window"], 2),
                corner(step["window"], 3)};
    }
    int channels = out["components"].is_null() ? 4 : channels_of(out["components"].text());
    auto image = make_image(bounds, source.region, channels, out["downwards"].truth(),
                            static_cast<int>(out["padding"].integer()), kUntouched);
    effect.output = image.get();
    Properties in = arguments(step);
    in.set(kOfxImageEffectPropFieldToRender, 0, std::string(kOfxImageFieldNone));
    const int corners[] = {window.x1, window.y1, window.x2, window.y2};
    for (int i = 0; i < 4; ++i) in.set(kOfxImageEffectPropRenderWindow, i, corners[i]);
    auto begin = std::chrono::steady_clock::now();
    effect.stop = step["abort"].is_null()
                      ? std::chrono::steady_clock::time_point::max()
                      : begin + std::chrono::milliseconds(step["abort"].integer());
    effect.fetched.clear();
    effect.own_seconds = 0.0;
    OfxStatus answer = act(step, kOfxImageEffectActionRender, &in, nullptr);
    std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
    effect.output = nullptr;
    if (!step["file"].is_null()) write_floats(step["file"].text(), *image, bounds, channels);
    Json fetched = Json::array();
    for (const auto &[name, frame] : effect.fetched) fetched.add(Json::array({name, frame}));
    Json result = status(answer);
    result.set("seconds", seconds.count() - effect.own_seconds);
    result.set("fetched", fetched);
    result.set("unreleased", effect.images);
    result.set("padding", padding_kept(*image, bounds, channels));
    return result;
  }

  static bool padding_kept(const Image &image, const OfxRectI &bounds, int channels) {
    int row = std::abs(std::get<int>(image.properties.values.at(kOfxImagePropRowBytes)[0]));
    int used = (bounds.x2 - bounds.x1) * channels;
    int count = row / static_cast<int>(sizeof(float));
    const auto *floats = reinterpret_cast<const float *>(image.memory.data());
    for (int y = 0; y < bounds.y2 - bounds.y1; ++y) {
      for (int x = used; x < count; ++x) {
        if (floats[static_cast<std::ptrdiff_t>(y) * count + x] != kUntouched) return false;
      }
    }
    return true;
  }

  Json together(const Json &step) {
    for (const Json &one : step["steps"].items()) instance(one);
    std::vector<std::future<Json>> running;
    for (const Json &one : step["steps"].items()) {
      running.push_back(std::async(std::launch::async, [this, &one] { return render(one); }));
    }
    Json results = Json::array();
    for (auto &one : running) results.add(one.get());
    return results;
  }

  Json script_;
  void *library_ = nullptr;
  std::map<std::string, Loaded> loaded_;
  std::map<std::string, Effect> instances_;
  std::map<std::string, std::string> names_;
};

}  // namespace

int main(int count, char **arguments) {
  if (count != 3) {
    std::cerr << "test_host BUNDLE.ofx SCRIPT.json\n";
    return 2;
  }
  try {
    std::ifstream file(arguments[2]);
    std::ostringstream text;
    text << file.rdbuf();
    Application application(arguments[1], Json::parse(text.str()));
    Json result = Json::object({{"effects", application.identifiers()}});
    result.set("steps", application.run());
    std::cout << result.write() << std::endl;
  } catch (const std::exception &error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
  return 0;
}
