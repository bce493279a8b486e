// What an application asks of an effect.

#pragma once

#include <string>

#include "instance.h"

namespace relume {

OfxStatus describe(const Effect &effect, OfxImageEffectHandle handle);
OfxStatus describe_in_context(const Table &table, const Effect &effect,
                              OfxImageEffectHandle handle, Properties in);

OfxStatus clip_preferences(const Instance &instance, Properties out);
OfxStatus output_colourspace(const Instance &instance, Properties out);
OfxStatus region_of_definition(const Instance &instance, Properties in, Properties out);
OfxStatus regions_of_interest(const Instance &instance, Properties in, Properties out);
OfxStatus frames_needed(const Instance &instance, Properties in, Properties out);
OfxStatus render(const Instance &instance, Properties in);

// Buttons: measures the exposure anchor of the shot; writes the graph for the farm.
void measure_anchor(const Instance &instance, Properties in);
void save_graph(const Instance &instance, Properties in);

}  // namespace relume
