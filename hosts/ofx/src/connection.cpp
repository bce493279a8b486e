#include "connection.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <iterator>

namespace relume {

namespace {

using Clock = std::chrono::steady_clock;

constexpr char kMagic[] = {'R', 'L', 'M', '1'};
constexpr std::size_t kHead = 16;
constexpr std::size_t kLargest = 16u << 20;
constexpr double kTick = 0.02;  // seconds between two looks whether to stop
constexpr double kCancel = 2.0;

const char kGone[] =
    "The relume worker ended while it was at work. Render again: it starts anew by itself.";
const char kSilent[] =
    "The relume worker does not answer any more. Render again, or end the process `relume worker`.";

double since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

void put(std::string &out, std::uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out.push_back(static_cast<char>(value >> (8 * i) & 0xff));
}

std::uint64_t take(const char *bytes, int count) {
  std::uint64_t value = 0;
  for (int i = 0; i < count; ++i) {
    value |= static_cast<std::uint64_t>(static_cast<unsigned char>(bytes[i])) << (8 * i);
  }
  return value;
}

std::string framed(const Json &body) {
  std::string text = body.write();
  std::string frame(kMagic, sizeof kMagic);
  put(frame, text.size(), 4);
  put(frame, 0, 8);
  return frame + text;
}

bool ready(int descriptor, short what, double seconds) {
  pollfd waiting = {descriptor, what, 0};
  return poll(&waiting, 1, static_cast<int>(seconds * 1000.0) + 1) > 0;
}

}  // namespace

Connection::Connection(Descriptor socket, const std::string &token, const std::string &client,
                       const std::string &name)
    : socket_(std::move(socket)) {
  Json hello = Json::object({{"op", "hello"}, {"protocol", 1}, {"token", token},
                             {"client", client}, {"name", name}});
  Json reply = request(std::move(hello), {5.0, 5.0});
  if (!reply["ok"].truth()) throw Lost(reply["error"]["message"].text());
  worker_ = static_cast<int>(reply["pid"].integer());
}

bool Connection::alive() const {
  if (!ready(socket_.number(), POLLIN, 0.0)) return true;
  char byte;
  return recv(socket_.number(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

Json Connection::request(Json body, Patience patience, const Stop &stop,
                         const std::function<void(const Json &)> &event, int descriptor) {
  std::int64_t id = ++last_id_;
  body.set("id", id);
  at_rest_ = false;
  heard_ = false;
  send(framed(body), descriptor, patience.silence);
  Json reply = receive(id, patience, stop, event);
  at_rest_ = true;
  return reply;
}

void Connection::lend(const std::shared_ptr<Segment> &segment) {
  Json gone = Json::array();
  for (auto at = lent_.begin(); at != lent_.end();) {
    bool over = at->second.expired();
    if (over) gone.add(at->first);
    at = over ? lent_.erase(at) : std::next(at);
  }
  if (!gone.items().empty()) {
    request(Json::object({{"op", "drop"}, {"segments", gone}}), {10.0, 10.0});
  }
  if (lent_.count(segment->name())) return;
  Json body = Json::object({{"op", "segment"}, {"segment", segment->name()},
                            {"bytes", static_cast<std::int64_t>(segment->bytes())}});
  Json reply = request(std::move(body), {10.0, 10.0}, nullptr, nullptr, segment->descriptor());
  if (!reply["ok"].truth()) throw Failure(reply["error"]["message"].text());
  lent_[segment->name()] = segment;
}

void Connection::send(const std::string &frame, int descriptor, double seconds) {
  auto start = Clock::now();
  std::size_t sent = 0;
  while (sent < frame.size()) {
    if (!ready(socket_.number(), POLLOUT, kTick)) {
      if (since(start) > seconds) throw Lost(kSilent);
      continue;
    }
    iovec data = {const_cast<char *>(frame.data()) + sent, frame.size() - sent};
    msghdr message = {};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof descriptor)] = {};
    if (sent == 0 && descriptor >= 0) {
      message.msg_control = control;
      message.msg_controllen = sizeof control;
      cmsghdr *head = CMSG_FIRSTHDR(&message);
      head->cmsg_level = SOL_SOCKET;
      head->cmsg_type = SCM_RIGHTS;
      head->cmsg_len = CMSG_LEN(sizeof descriptor);
      std::memcpy(CMSG_DATA(head), &descriptor, sizeof descriptor);
    }
    ssize_t count = sendmsg(socket_.number(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count < 0 && errno != EAGAIN && errno != EINTR) gone();
    if (count > 0) sent += static_cast<std::size_t>(count);
  }
}

void Connection::gone() const {
  if (heard_) throw Lost(kGone);
  throw Unbegun(kGone);
}

// Returns false where nothing came within the time; throws Lost where the rest of something is due.
bool Connection::read(char *to, std::size_t bytes, double seconds) {
  auto start = Clock::now();
  std::size_t got = 0;
  while (got < bytes) {
    if (!ready(socket_.number(), POLLIN, std::min(seconds, kTick))) {
      if (got == 0 && since(start) >= seconds) return false;
      if (since(start) > 20.0) throw Lost(kSilent);
      continue;
    }
    ssize_t count = recv(socket_.number(), to + got, bytes - got, MSG_DONTWAIT);
    if (count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR)) gone();
    heard_ = heard_ || count > 0;
    if (count > 0) got += static_cast<std::size_t>(count);
  }
  return true;
}

Json Connection::receive(std::int64_t id, Patience patience, const Stop &stop,
                         const std::function<void(const Json &)> &event) {
  auto start = Clock::now(), heard = start;
  while (true) {
    if (stop && stop()) {
      cancel(id);
      throw Aborted();
    }
    char head[kHead];
    if (!read(head, kHead, kTick)) {
      if (since(heard) > patience.silence) throw Lost(kSilent);
      if (since(start) > patience.all) {
        cancel(id);
        throw Failure("relume took longer than " + std::to_string(static_cast<int>(patience.all)) +
                      " seconds for a frame. Work at a smaller proxy.");
      }
      continue;
    }
    heard = Clock::now();
    std::size_t bytes = take(head + 4, 4);
    // Everything travels through segments: a frame with a payload is none of this worker's.
    if (std::memcmp(head, kMagic, sizeof kMagic) != 0 || bytes == 0 || bytes > kLargest ||
        take(head + 8, 8) != 0) {
      throw Lost("What answers on relume's socket is no relume worker of this version.");
    }
    std::string text(bytes, '\0');
    while (!read(text.data(), bytes, 1.0)) {
      if (since(heard) > patience.silence) throw Lost(kSilent);
    }
    Json reply;
    try {
      reply = Json::parse(text);
    } catch (const std::runtime_error &) {
      throw Lost("What answers on relume's socket is no relume worker of this version.");
    }
    if (reply["event"].is_null() && (reply["id"].is_null() || reply["id"].integer() == id)) {
      return reply;
    }
    if (event && reply["id"].integer() == id) event(reply);
  }
}

// Asks the worker to stop a render and waits for its word, so that the connection is of use again.
void Connection::cancel(std::int64_t id) {
  Json body = Json::object({{"op", "cancel"}, {"target", id}});
  std::int64_t own = ++last_id_;
  body.set("id", own);
  send(framed(body), -1, kCancel);
  receive(own, {kCancel, kCancel}, nullptr, nullptr);
  at_rest_ = true;
}

}  // namespace relume
