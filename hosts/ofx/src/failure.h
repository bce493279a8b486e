// What an artist is told when something does not work.

#pragma once

#include <stdexcept>
#include <string>

namespace relume {

// A sentence or two for the artist: what is wrong, and the way out.
class Failure : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// The application asked to stop; nobody is told.
class Aborted : public std::exception {};

}  // namespace relume
