// Shared memory that the worker may look into.

#pragma once

#include <cstddef>
#include <memory>
#include <string>

namespace relume {

// A file descriptor that is closed when nobody holds it.
class Descriptor {
 public:
  explicit Descriptor(int number = -1) : number_(number) {}
  ~Descriptor();
  Descriptor(Descriptor &&other) noexcept : number_(other.number_) { other.number_ = -1; }
  Descriptor &operator=(Descriptor &&other) noexcept;
  Descriptor(const Descriptor &) = delete;
  Descriptor &operator=(const Descriptor &) = delete;

  int number() const { return number_; }
  explicit operator bool() const { return number_ >= 0; }

 private:
  int number_;
};

// Memory without a name, whose size nobody can change: it is gone with the last process that has it,
// however that ends.
class Segment {
 public:
  // Throws Failure where there is not enough memory.
  explicit Segment(std::size_t bytes);
  ~Segment();
  Segment(const Segment &) = delete;
  Segment &operator=(const Segment &) = delete;

  const std::string &name() const { return name_; }
  std::size_t bytes() const { return bytes_; }
  float *pixels() const { return static_cast<float *>(memory_); }
  int descriptor() const { return descriptor_.number(); }

 private:
  std::string name_;
  std::size_t bytes_;
  Descriptor descriptor_;
  void *memory_ = nullptr;
};

}  // namespace relume
