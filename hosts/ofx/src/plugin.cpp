// The entry points an application calls.

#include <dlfcn.h>

#include <cstring>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "actions.h"
#include "client.h"
#include "pictures.h"

namespace relume {

namespace {

OfxHost *the_host = nullptr;

void set_host(OfxHost *host) { the_host = host; }

// The bundle's Contents/Resources/relume.json, found from where this library lies.
std::string table_path() {
  Dl_info info = {};
  if (!dladdr(reinterpret_cast<const void *>(&set_host), &info) || !info.dli_fname) return "";
  std::string folder = info.dli_fname;
  folder.erase(folder.find_last_of('/') + 1);
  return folder + "../Resources/relume.json";
}

template <std::size_t index>
OfxStatus entry(const char *action, const void *handle, OfxPropertySetHandle in,
                OfxPropertySetHandle out);

class Plugins {
 public:
  Plugins() {
    try {
      table_ = read_table(table_path());
    } catch (const std::exception &) {
      return;  // an application that finds no effects says so in its own way
    }
    for (const Effect &effect : table_->effects) {
      OfxPlugin plugin = {};
      plugin.pluginApi = kOfxImageEffectPluginApi;
      plugin.apiVersion = kOfxImageEffectPluginApiVersion;
      plugin.pluginIdentifier = effect.identifier.c_str();
      plugin.pluginVersionMajor = 1;
      plugin.pluginVersionMinor = effect.version;
      plugin.setHost = set_host;
      plugins_.push_back(plugin);
    }
    add_entries(std::make_index_sequence<kMost>());
  }

  // Entry points are plain functions, so that each effect needs one of its own.
  static constexpr std::size_t kMost = 64;

  int count() const { return static_cast<int>(std::min(plugins_.size(), kMost)); }
  OfxPlugin *get(int index) {
    return index >= 0 && index < count() ? &plugins_[static_cast<std::size_t>(index)] : nullptr;
  }
  const Table &table() const { return *table_; }

 private:
  template <std::size_t... indices>
  void add_entries(std::index_sequence<indices...>) {
    OfxPluginEntryPoint *entries[] = {&entry<indices>...};
    for (std::size_t i = 0; i < plugins_.size() && i < kMost; ++i) {
      plugins_[i].mainEntry = entries[i];
    }
  }

  std::unique_ptr<Table> table_;
  std::vector<OfxPlugin> plugins_;
};

Plugins &plugins() {
  static Plugins all;
  return all;
}

Properties properties_of(OfxImageEffectHandle handle) {
  OfxPropertySetHandle set = nullptr;
  if (suites().effect->getPropertySet(handle, &set) != kOfxStatOK) return Properties();
  return Properties(set);
}

Instance *instance_of(OfxImageEffectHandle handle) {
  return static_cast<Instance *>(properties_of(handle).pointer(kOfxPropInstanceData));
}

void keep(OfxImageEffectHandle handle, Instance *instance) {
  OfxPropertySetHandle set = properties_of(handle).handle();
  if (set) suites().property->propSetPointer(set, kOfxPropInstanceData, 0, instance);
}

OfxStatus changed(const Instance &instance, Properties in) {
  bool edited = in.text(kOfxPropChangeReason) == kOfxChangeUserEdited;
  if (!edited || in.text(kOfxPropType) != kOfxTypeParameterInstance) return kOfxStatReplyDefault;
  std::string name = in.text(kOfxPropName);
  if (name == kMeasureParam) {
    measure_anchor(instance, in);
  } else if (name == kGraphSaveParam) {
    save_graph(instance, in);
  } else {
    instance.changed(name);
  }
  return kOfxStatOK;
}

OfxStatus act_on(const std::string &action, OfxImageEffectHandle handle, Properties in,
                 Properties out) {
  Instance *instance = instance_of(handle);
  if (!instance) return kOfxStatErrBadHandle;
  if (action == kOfxActionDestroyInstance) {
    keep(handle, nullptr);
    delete instance;
    return kOfxStatOK;
  }
  if (action == kOfxImageEffectActionRender) return render(*instance, in);
  if (action == kOfxActionInstanceChanged) return changed(*instance, in);
  if (action == kOfxImageEffectActionGetClipPreferences) return clip_preferences(*instance, out);
  if (action == kOfxImageEffectActionGetOutputColourspace) {
    return output_colourspace(*instance, out);
  }
  if (action == kOfxImageEffectActionGetRegionOfDefinition) {
    return region_of_definition(*instance, in, out);
  }
  if (action == kOfxImageEffectActionGetRegionsOfInterest) {
    return regions_of_interest(*instance, in, out);
  }
  if (action == kOfxImageEffectActionGetFramesNeeded) return frames_needed(*instance, in, out);
  if (action == kOfxActionPurgeCaches) {
    pictures().clear();
    return kOfxStatOK;
  }
  return kOfxStatReplyDefault;
}

OfxStatus act(const Effect &effect, const std::string &action, const void *given, Properties in,
              Properties out) {
  auto handle = static_cast<OfxImageEffectHandle>(const_cast<void *>(given));
  if (action == kOfxActionLoad) {
    return suites().fetch(the_host) ? kOfxStatOK : kOfxStatErrMissingHostFeature;
  }
  if (action == kOfxActionUnload) {
    client().close();
    pictures().clear();
    return kOfxStatOK;
  }
  if (action == kOfxActionDescribe) return describe(effect, handle);
  if (action == kOfxImageEffectActionDescribeInContext) {
    return describe_in_context(plugins().table(), effect, handle, in);
  }
  if (action == kOfxActionCreateInstance) {
    auto instance = std::make_unique<Instance>(plugins().table(), effect, handle);
    instance->refresh();
    keep(handle, instance.release());
    return kOfxStatOK;
  }
  static const char *const kOthers[] = {
      kOfxActionDestroyInstance,
      kOfxActionInstanceChanged,
      kOfxActionPurgeCaches,
      kOfxImageEffectActionRender,
      kOfxImageEffectActionGetClipPreferences,
      kOfxImageEffectActionGetOutputColourspace,
      kOfxImageEffectActionGetRegionOfDefinition,
      kOfxImageEffectActionGetRegionsOfInterest,
      kOfxImageEffectActionGetFramesNeeded,
  };
  for (const char *other : kOthers) {
    if (action == other) return act_on(action, handle, in, out);
  }
  return kOfxStatReplyDefault;
}

template <std::size_t index>
OfxStatus entry(const char *action, const void *handle, OfxPropertySetHandle in,
                OfxPropertySetHandle out) {
  // No exception may cross into the application, which may be written in anything.
  try {
    const Effect &effect = plugins().table().effects[index];
    return act(effect, action ? action : "", handle, Properties(in), Properties(out));
  } catch (const std::bad_alloc &) {
    return kOfxStatErrMemory;
  } catch (const std::exception &) {
    return kOfxStatFailed;
  }
}

}  // namespace

}  // namespace relume

RELUME_EXPORT int OfxGetNumberOfPlugins(void) { return relume::plugins().count(); }

RELUME_EXPORT OfxPlugin *OfxGetPlugin(int index) { return relume::plugins().get(index); }
