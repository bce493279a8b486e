#include "client.h"

#include <chrono>
#include <random>
#include <thread>

#include "host.h"

namespace relume {

namespace {

constexpr Patience kQuick = {10.0, 10.0};
constexpr Patience kRender = {20.0, 600.0};
constexpr double kStart = 60.0;  // seconds a worker may take to start
constexpr double kGrace = 3.0;   // and another's, where ours ended for its sake
constexpr int kTries = 3;

Json texts(const std::vector<std::string> &items) {
  Json array = Json::array();
  for (const std::string &item : items) array.add(item);
  return array;
}

std::size_t bytes_of(const Wanted &wanted) {
  auto width = static_cast<std::size_t>(wanted.window[2] - wanted.window[0]);
  auto height = static_cast<std::size_t>(wanted.window[3] - wanted.window[1]);
  return width * height * wanted.channels.size() * sizeof(float);
}

}  // namespace

Client &client() {
  static Client one;
  return one;
}

class Client::Lease {
 public:
  Lease(Client &client, const Stop &stop) : client_(client), connection_(client.acquire(stop)) {}

  ~Lease() {
    if (!connection_->at_rest()) return;  // what comes next on it is not known
    std::lock_guard<std::mutex> lock(client_.mutex_);
    client_.idle_.push_back(std::move(connection_));
  }

  Lease(const Lease &) = delete;
  Lease &operator=(const Lease &) = delete;

  Connection *operator->() const { return connection_.get(); }
  Connection &operator*() const { return *connection_; }

 private:
  Client &client_;
  std::unique_ptr<Connection> connection_;
};

const std::string &Client::identity() {
  if (identity_.empty()) {
    static constexpr char kDigits[] = "0123456789abcdef";
    std::random_device source;
    for (int i = 0; i < 32; ++i) identity_ += kDigits[source() % 16];
  }
  return identity_;
}

std::unique_ptr<Connection> Client::connect(const std::string &folder) {
  Address address = worker_address(folder);
  Descriptor socket = connect_to(address.socket);
  if (!socket) return nullptr;
  try {
    return std::make_unique<Connection>(std::move(socket), address.token, identity(), host_name());
  } catch (const Lost &) {
    return nullptr;  // a worker that is just ending, or the address of an earlier one
  }
}

std::unique_ptr<Connection> Client::acquire(const Stop &stop) {
  std::lock_guard<std::mutex> lock(mutex_);
  while (!idle_.empty()) {
    std::unique_ptr<Connection> connection = std::move(idle_.back());
    idle_.pop_back();
    if (connection->alive()) return connection;
  }
  const std::string folder = worker_folder();
  if (auto connection = connect(folder)) return connection;
  Started started(folder);
  auto begin = std::chrono::steady_clock::now(), ended = begin;
  bool over = false;
  while (true) {
    if (auto connection = connect(folder)) return connection;
    if (stop && stop()) throw Aborted();
    auto now = std::chrono::steady_clock::now();
    if (!over && started.ended()) {
      over = true;
      ended = now;
    }
    auto seconds = [now](auto since) { return std::chrono::duration<double>(now - since).count(); };
    if (over && seconds(ended) > kGrace) {
      throw Failure("The relume worker ended as soon as it was started. " + folder +
                    "/worker-1.log says why; `relume doctor` checks the installation.");
    }
    if (seconds(begin) > kStart) {
      throw Failure("The relume worker did not start within a minute. " + folder +
                    "/worker-1.log may say why.");
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
}

void Client::lend(Connection &connection, const Order &order, const Json *serials) {
  std::vector<std::string> gone = pictures().dropped();
  if (!gone.empty()) {
    connection.request(Json::object({{"op", "drop"}, {"serials", texts(gone)}}), kQuick);
  }
  std::set<std::string> missing;
  for (const Json &serial : serials ? serials->items() : std::vector<Json>()) {
    missing.insert(serial.text());
  }
  for (const auto &[step, frames] : order.inputs) {
    for (const auto &[frame, picture] : frames) {
      bool there = picture->worker == connection.worker() && !missing.count(picture->serial);
      if (there) continue;
      connection.lend(picture->segment);
      Json body = picture->meaning;
      body.set("op", "image");
      body.set("serial", picture->serial);
      body.set("segment", picture->segment->name());
      Json reply = connection.request(std::move(body), kQuick);
      if (!reply["ok"].truth()) throw Failure(reply["error"]["message"].text());
      picture->worker = connection.worker();
      missing.erase(picture->serial);
    }
  }
}

// Sends a render until it is answered for good.
Json Client::ask(Connection &connection, const Order &order, const Json &output, const Stop &stop) {
  Json inputs = Json::object();
  for (const auto &[step, frames] : order.inputs) {
    Json serials = Json::object();
    for (const auto &[frame, picture] : frames) {
      serials.set(std::to_string(frame), picture->serial);
    }
    inputs.set(step, serials);
  }
  Json body = Json::object({{"op", "render"},
                            {"graph", order.graph},
                            {"frame", order.frame},
                            {"shot", order.shot},
                            {"inputs", inputs},
                            {"outputs", Json::array({output})}});
  lend(connection, order, nullptr);
  for (int tries = 0;; ++tries) {
    Json reply = connection.request(body, kRender, stop);
    if (reply["ok"].truth()) return reply;
    const Json &error = reply["error"];
    const std::string &kind = error["kind"].text();
    if (kind == "cancelled") throw Aborted();
    if (kind != "images" || tries == kTries) throw Failure(error["message"].text());
    lend(connection, order, &error["serials"]);
  }
}

template <class Use>
auto Client::with_connection(const Stop &stop, Use use) {
  try {
    Lease connection(*this, stop);
    return use(*connection);
  } catch (const Unbegun &) {
    Lease connection(*this, stop);
    return use(*connection);
  }
}

Answer Client::render(const Order &order, const Wanted &wanted, const Stop &stop) {
  Answer answer;
  answer.pixels = room(bytes_of(wanted));
  const int *w = wanted.window;
  Json output = Json::object({{"output", wanted.output},
                              {"segment", answer.pixels->name()},
                              {"channels", texts(wanted.channels)},
                              {"rows", "bottom_up"},
                              {"window", Json::array({w[0], w[1], w[2], w[3]})},
                              {"colour", wanted.colour},
                              {"alpha", wanted.alpha}});
  if (!wanted.layer.empty()) output.set("layer", wanted.layer);
  Json reply = with_connection(stop, [&](Connection &connection) {
    connection.lend(answer.pixels);
    return ask(connection, order, output, stop);
  });
  for (const Json &notice : reply["notices"].items()) answer.notices.push_back(notice.text());
  return answer;
}

double Client::number(const Order &order, const std::string &output, const Stop &stop) {
  Json reply = with_connection(stop, [&](Connection &connection) {
    return ask(connection, order, Json::object({{"output", output}}), stop);
  });
  if (reply["outputs"].items().empty()) throw Failure("relume sent no number.");
  return reply["outputs"].items()[0]["value"].number();
}

// Returns memory for a result: that of a finished render of the same size, where there is one.
std::shared_ptr<Segment> Client::room(std::size_t bytes) {
  std::lock_guard<std::mutex> lock(mutex_);
  for (auto at = results_.begin(); at != results_.end();) {
    bool unused = at->use_count() == 1;
    if (unused && (*at)->bytes() == bytes) return *at;
    at = unused ? results_.erase(at) : at + 1;
  }
  results_.push_back(std::make_shared<Segment>(bytes));
  return results_.back();
}

void Client::close() {
  std::lock_guard<std::mutex> lock(mutex_);
  idle_.clear();
  results_.clear();
}

}  // namespace relume
