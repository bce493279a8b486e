// One connection to the worker: frames out, replies and events in. See hosts/worker/PROTOCOL.md.

#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "failure.h"
#include "json.h"
#include "shared.h"
#include "start.h"

namespace relume {

// The worker is gone, or does not answer as it should.
class Lost : public Failure {
 public:
  using Failure::Failure;
};

// The worker was gone before it began with a request, which may therefore be repeated.
class Unbegun : public Lost {
 public:
  using Lost::Lost;
};

// How long a request may take, in seconds.
struct Patience {
  double silence;
  double all;
};

class Connection {
 public:
  Connection(Descriptor socket, const std::string &token, const std::string &client,
             const std::string &name);

  // Whether the worker is still there, as far as one can tell without asking.
  bool alive() const;

  // Sends a request and returns its reply, whether that is an error or not.
  // Throws Lost, or Aborted where `stop` says so: the request is then cancelled.
  Json request(Json body, Patience patience, const Stop &stop = nullptr,
               const std::function<void(const Json &)> &event = nullptr, int descriptor = -1);

  // Lends a segment to the worker unless it has it, and takes those back that are no more.
  void lend(const std::shared_ptr<Segment> &segment);

  // Whether the last request was answered: otherwise nobody knows what comes next.
  bool at_rest() const { return at_rest_; }

  // The process at the other end.
  int worker() const { return worker_; }

 private:
  void send(const std::string &frame, int descriptor, double seconds);
  Json receive(std::int64_t id, Patience patience, const Stop &stop,
               const std::function<void(const Json &)> &event);
  bool read(char *to, std::size_t bytes, double seconds);
  void cancel(std::int64_t id);
  [[noreturn]] void gone() const;

  Descriptor socket_;
  std::int64_t last_id_ = 0;
  int worker_ = 0;
  bool at_rest_ = true;
  bool heard_ = false;  // whether anything came back since the last request
  std::map<std::string, std::weak_ptr<Segment>> lent_;
};

}  // namespace relume
