// The client of the worker: connections for as many renders as the application has under way.

#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "connection.h"
#include "pictures.h"

namespace relume {

// A picture that is wanted.
struct Wanted {
  std::string output;
  std::string layer;
  std::vector<std::string> channels;
  int window[4] = {};  // x0, y0, x1, y1, y down
  std::string colour;
  std::string alpha;
};

struct Order {
  Json graph;
  int frame = 0;
  std::string shot;
  // Input step → frame → picture
  std::map<std::string, std::map<int, std::shared_ptr<Picture>>> inputs;
};

struct Answer {
  std::shared_ptr<Segment> pixels;  // rows upwards
  std::vector<std::string> notices;
};

class Client {
 public:
  // Renders a picture. Throws Failure with a sentence, or Aborted.
  Answer render(const Order &order, const Wanted &wanted, const Stop &stop);

  // Computes a number. Throws likewise.
  double number(const Order &order, const std::string &output, const Stop &stop);

  // Ends all connections.
  void close();

 private:
  // A connection for one render, handed back after it.
  class Lease;

  // Calls `use` with a connection; with another one where the worker left before it began.
  template <class Use>
  auto with_connection(const Stop &stop, Use use);

  std::unique_ptr<Connection> acquire(const Stop &stop);
  std::shared_ptr<Segment> room(std::size_t bytes);
  std::unique_ptr<Connection> connect(const std::string &folder);
  Json ask(Connection &connection, const Order &order, const Json &output, const Stop &stop);
  void lend(Connection &connection, const Order &order, const Json *serials);
  const std::string &identity();

  std::mutex mutex_;
  std::vector<std::unique_ptr<Connection>> idle_;
  std::vector<std::shared_ptr<Segment>> results_;  // of finished renders, to be used again
  std::string identity_;
};

Client &client();

}  // namespace relume
