#include "pictures.h"

#include <cstring>
#include <utility>

namespace relume {

namespace {

// What is kept of pictures at most; the last one always is.
constexpr std::size_t kKept = std::size_t{512} << 20;

// Copies a row's chosen channels side by side.
void pack(const float *from, int width, int channels, const std::vector<int> &order, float *to) {
  for (int x = 0; x < width; ++x, from += channels) {
    for (int channel : order) *to++ = from[channel];
  }
}

bool whole(const View &view, const std::vector<int> &order) {
  if (static_cast<int>(order.size()) != view.channels) return false;
  for (int i = 0; i < view.channels; ++i) {
    if (order[static_cast<std::size_t>(i)] != i) return false;
  }
  return true;
}

// Calls `use` with each row's chosen channels until it returns false; returns whether it never did.
template <class Use>
bool each_row(const View &view, const std::vector<int> &order, Use use) {
  std::size_t count = static_cast<std::size_t>(view.width()) * order.size();
  bool direct = whole(view, order);
  std::vector<float> scratch(direct ? 0 : count);
  for (int y = view.bounds.y1; y < view.bounds.y2; ++y) {
    const float *row = view.row(y);
    if (!direct) {
      pack(row, view.width(), view.channels, order, scratch.data());
      row = scratch.data();
    }
    if (!use(row, static_cast<std::size_t>(y - view.bounds.y1) * count, count * sizeof(float))) {
      return false;
    }
  }
  return true;
}

bool equal(const View &view, const std::vector<int> &order, const Segment &segment) {
  return each_row(view, order, [&](const float *row, std::size_t at, std::size_t bytes) {
    return std::memcmp(row, segment.pixels() + at, bytes) == 0;
  });
}

}  // namespace

Pictures &pictures() {
  static Pictures all;
  return all;
}

std::shared_ptr<Picture> Pictures::find(const View &view, const std::vector<int> &order,
                                        Json meaning) {
  std::lock_guard<std::mutex> lock(mutex_);
  for (auto at = kept_.begin(); at != kept_.end(); ++at) {
    if ((*at)->meaning == meaning && equal(view, order, *(*at)->segment)) {
      kept_.splice(kept_.begin(), kept_, at);
      return kept_.front();
    }
  }
  auto picture = std::make_shared<Picture>();
  std::size_t pixels = static_cast<std::size_t>(view.width()) * view.height();
  picture->segment = room(pixels * order.size() * sizeof(float));
  each_row(view, order, [&](const float *row, std::size_t at, std::size_t bytes) {
    std::memcpy(picture->segment->pixels() + at, row, bytes);
    return true;
  });
  picture->serial = "ofx:" + std::to_string(++count_);
  picture->meaning = std::move(meaning);
  kept_.push_front(picture);
  return picture;
}

// Returns memory for a picture; that of one that is given up for it, where it fits.
std::shared_ptr<Segment> Pictures::room(std::size_t bytes) {
  std::shared_ptr<Segment> free;
  std::size_t held = bytes;
  for (auto at = kept_.begin(); at != kept_.end();) {
    std::shared_ptr<Picture> &picture = *at;
    held += picture->segment->bytes();
    // A picture that a render holds is not given up: it might yet have to be sent.
    if (held <= kKept || picture.use_count() > 1) {
      ++at;
      continue;
    }
    dropped_.push_back(picture->serial);
    if (!free && picture->segment->bytes() == bytes && picture->segment.use_count() == 1) {
      free = std::move(picture->segment);
    }
    at = kept_.erase(at);
  }
  return free ? free : std::make_shared<Segment>(bytes);
}

std::vector<std::string> Pictures::dropped() {
  std::lock_guard<std::mutex> lock(mutex_);
  return std::exchange(dropped_, {});
}

void Pictures::clear() {
  std::lock_guard<std::mutex> lock(mutex_);
  for (const auto &picture : kept_) dropped_.push_back(picture->serial);
  kept_.clear();
}

Channels channels_of(ClipKind kind, const View &view) {
  if (kind == ClipKind::vector && view.channels >= 3) return {{0, 1, 2}, {"X", "Y", "Z"}};
  if (kind == ClipKind::colour && view.channels >= 3) {
    if (view.channels == 3) return {{0, 1, 2}, {"R", "G", "B"}};
    return {{0, 1, 2, 3}, {"R", "G", "B", "A"}};
  }
  if (view.channels < 4) return {{0}, {"A"}};
  float first = view.row(view.bounds.y1)[3];
  for (int y = view.bounds.y1; y < view.bounds.y2; ++y) {
    const float *row = view.row(y);
    for (int x = 0; x < view.width(); ++x) {
      if (row[4 * x + 3] != first) return {{3}, {"A"}};
    }
  }
  return {{0}, {"A"}};
}

}  // namespace relume
