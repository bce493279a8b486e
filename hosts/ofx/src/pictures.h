// Pictures of the application, as the worker gets them.

#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "../ofx_abi.h"
#include "json.h"
#include "shared.h"
#include "table.h"

namespace relume {

// Float pixels of the application: rows upwards, one after the other `row_bytes` apart, which is
// negative where the application stores them downwards.
struct View {
  char *pixels = nullptr;  // of the lowest row, its leftmost pixel
  std::ptrdiff_t row_bytes = 0;
  OfxRectI bounds = {};
  int channels = 0;

  float *row(int y) const {
    return reinterpret_cast<float *>(pixels + (y - bounds.y1) * row_bytes);
  }
  int width() const { return bounds.x2 - bounds.x1; }
  int height() const { return bounds.y2 - bounds.y1; }
};

// A picture that the worker has, or can have.
struct Picture {
  std::string serial;
  Json meaning;  // size, channels, place, colour: the worker's request without serial and segment
  std::shared_ptr<Segment> segment;
  int worker = 0;  // the process that has it
};

// The pictures of this process. A picture equal to one that was there before gets its serial, so
// that effects which look at the same pixels share what was found out about them, and a held frame
// is analysed once. Pixels are compared, not hashes or an application's word for them.
class Pictures {
 public:
  // Returns the picture of the pixels in `view`, of which the channels at `order` are taken.
  std::shared_ptr<Picture> find(const View &view, const std::vector<int> &order, Json meaning);

  // Serials of pictures that are no longer kept, once.
  std::vector<std::string> dropped();

  void clear();

 private:
  std::shared_ptr<Segment> room(std::size_t bytes);

  std::mutex mutex_;
  std::list<std::shared_ptr<Picture>> kept_;  // the last used first
  std::vector<std::string> dropped_;
  std::uint64_t count_ = 0;
};

Pictures &pictures();

// The channels of a clip's pixels that the worker gets, and their names.
struct Channels {
  std::vector<int> order;
  std::vector<std::string> names;
};

// Says what to take: everything of a picture; of a mask A unless it is constant, else R; of vectors
// the first three.
Channels channels_of(ClipKind kind, const View &view);

}  // namespace relume
