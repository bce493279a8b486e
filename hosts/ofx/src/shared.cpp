#include "shared.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>

#include "failure.h"

namespace relume {

Descriptor::~Descriptor() {
  if (number_ >= 0) close(number_);
}

Descriptor &Descriptor::operator=(Descriptor &&other) noexcept {
  if (this != &other) {
    if (number_ >= 0) close(number_);
    number_ = other.number_;
    other.number_ = -1;
  }
  return *this;
}

Segment::Segment(std::size_t bytes) : bytes_(bytes) {
  static std::atomic<unsigned> count{0};
  name_ = "s" + std::to_string(++count);
  descriptor_ = Descriptor(memfd_create("relume", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
  bool made = descriptor_ && ftruncate(descriptor(), static_cast<off_t>(bytes)) == 0 &&
              fcntl(descriptor(), F_ADD_SEALS, seals) == 0;
  void *memory = MAP_FAILED;
  if (made) {
    memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor(), 0);
  }
  if (memory == MAP_FAILED) {
    throw Failure("There is no memory to pass a picture to relume. Close something, or work at a "
                  "smaller proxy.");
  }
  memory_ = memory;
}

Segment::~Segment() {
  if (memory_) munmap(memory_, bytes_);
}

}  // namespace relume
