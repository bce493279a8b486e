// Where the worker listens, and how it is started.

#pragma once

#include <functional>
#include <string>

#include "shared.h"

namespace relume {

// Asked now and then during a wait; true where the application wants to stop.
using Stop = std::function<bool()>;

// The folder of the worker's socket, made and proved to be the user's alone.
// Throws Failure where it is not.
std::string worker_folder();

struct Address {
  std::string socket;
  std::string token;
};

// What the worker wrote down about itself; an empty socket where it did not.
Address worker_address(const std::string &folder);

// A connection to the socket, or an empty descriptor.
Descriptor connect_to(const std::string &socket);

// A worker that was started.
class Started {
 public:
  // Starts `relume worker` for a folder, detached. Throws Failure where there is no relume to start.
  explicit Started(const std::string &folder);
  bool ended() const;

 private:
  Descriptor process_;
};

}  // namespace relume
