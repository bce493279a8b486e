#include "start.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <sstream>
#include <vector>

#include "failure.h"
#include "json.h"

namespace relume {

namespace {

constexpr std::size_t kLongestSocket = 99;

std::string environment(const char *name) {
  const char *value = std::getenv(name);
  return value ? value : "";
}

bool owned_folder(const std::string &path) {
  struct stat found;
  return lstat(path.c_str(), &found) == 0 && S_ISDIR(found.st_mode) && found.st_uid == getuid();
}

std::string contents(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// Splits as a shell does: blanks separate, quotes and backslashes keep them.
std::vector<std::string> shell_words(const std::string &line) {
  std::vector<std::string> words;
  std::string word;
  bool inside = false;
  char quote = 0;
  for (std::size_t i = 0; i < line.size(); ++i) {
    char letter = line[i];
    if (letter == '\\' && quote != '\'' && i + 1 < line.size()) {
      word += line[++i];
      inside = true;
    } else if (quote) {
      if (letter == quote) quote = 0;
      else word += letter;
    } else if (letter == '"' || letter == '\'') {
      quote = letter;
      inside = true;
    } else if (letter == ' ' || letter == '\t' || letter == '\n') {
      if (inside) words.push_back(word);
      word.clear();
      inside = false;
    } else {
      word += letter;
      inside = true;
    }
  }
  if (inside) words.push_back(word);
  return words;
}

std::vector<std::string> lines(const std::string &text) {
  std::vector<std::string> found;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) {
    if (!line.empty()) found.push_back(line);
  }
  return found;
}

std::vector<std::string> command() {
  std::vector<std::string> words = shell_words(environment("RELUME_COMMAND"));
  if (words.empty()) {
    std::string base = environment("XDG_CONFIG_HOME");
    if (base.empty()) base = environment("HOME") + "/.config";
    words = lines(contents(base + "/relume/command"));
  }
  if (words.empty()) words = {"relume"};
  words.push_back("worker");
  return words;
}

// The environment of the worker: the application's without what that sets for itself. MLT, where
// $OCIO is unset, sets it to a name that no OCIO reads; the worker does better without.
std::vector<std::string> worker_environment(const std::string &folder) {
  static const char *const kOwn[] = {"PYTHON", "LD_LIBRARY_PATH=", "LD_PRELOAD=",
                                     "RELUME_WORKER_DIR=", "OCIO=ocio://ocio://default"};
  std::vector<std::string> kept = {"RELUME_WORKER_DIR=" + folder};
  for (char **at = environ; *at; ++at) {
    std::string variable = *at;
    bool own = std::any_of(std::begin(kOwn), std::end(kOwn), [&variable](const char *begin) {
      return variable.compare(0, std::strlen(begin), begin) == 0;
    });
    if (!own) kept.push_back(variable);
  }
  return kept;
}

// What exec takes: pointers to words, and none at the end.
std::vector<char *> pointers(std::vector<std::string> &words) {
  std::vector<char *> found;
  for (std::string &word : words) found.push_back(word.data());
  found.push_back(nullptr);
  return found;
}

// Closes what the application has open; only what is allowed between fork and exec is called.
void close_inherited(int keep) {
#ifdef SYS_close_range
  bool below = keep <= 3 || syscall(SYS_close_range, 3u, static_cast<unsigned>(keep - 1), 0u) == 0;
  if (below && syscall(SYS_close_range, static_cast<unsigned>(keep + 1), ~0u, 0u) == 0) return;
#endif
  for (int number = 3; number < 65536; ++number) {
    if (number != keep) close(number);
  }
}

struct Report {
  int pid;
  int error;
};

// The second child of the two: what becomes the worker.
[[noreturn]] void become(char *const *arguments, char *const *variables, int pipe) {
  setsid();
  bool away = chdir("/") == 0;
  int null = open("/dev/null", O_RDWR);
  for (int stream = 0; stream < 3; ++stream) dup2(null, stream);
  close_inherited(pipe);
  Report report = {getpid(), 0};
  // Announced before exec, as nobody can do so after it; the pipe itself closes there.
  bool told = away && write(pipe, &report, sizeof report) == sizeof report;
  execvpe(arguments[0], arguments, variables);
  report.error = errno;
  told = told && write(pipe, &report, sizeof report) == sizeof report;
  _exit(told ? 127 : 126);
}

}  // namespace

std::string worker_folder() {
  std::string folder = environment("RELUME_WORKER_DIR");
  std::string runtime = environment("XDG_RUNTIME_DIR");
  if (folder.empty() && !runtime.empty() && owned_folder(runtime)) folder = runtime + "/relume";
  if (folder.empty()) folder = "/tmp/relume-" + std::to_string(getuid());
  if (folder.size() + std::strlen("/worker-1.sock") > kLongestSocket) {
    throw Failure("The folder " + folder + " has too long a path for a socket. Set "
                  "RELUME_WORKER_DIR to a shorter one.");
  }
  mkdir(folder.c_str(), 0700);
  struct stat found;
  bool exists = lstat(folder.c_str(), &found) == 0;
  if (!exists) {
    throw Failure("The folder " + folder + " cannot be made. Set RELUME_WORKER_DIR to another one.");
  }
  if (!owned_folder(folder) || (found.st_mode & 077) != 0) {
    throw Failure("The folder " + folder + " is open to others, so relume does not use it. Remove "
                  "it, or set RELUME_WORKER_DIR to one that is yours alone.");
  }
  return folder;
}

Address worker_address(const std::string &folder) {
  static const std::string kUnix = "unix:";
  try {
    Json json = Json::parse(contents(folder + "/worker-1.json"));
    const std::string &address = json["address"].text();
    if (address.compare(0, kUnix.size(), kUnix) == 0) {
      return {address.substr(kUnix.size()), json["token"].text()};
    }
  } catch (const std::runtime_error &) {
    // Not there yet, or being written: the caller tries again.
  }
  return {};
}

Descriptor connect_to(const std::string &socket_path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (socket_path.empty() || socket_path.size() >= sizeof address.sun_path) return Descriptor();
  socket_path.copy(address.sun_path, socket_path.size());
  Descriptor descriptor(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  // A Unix socket connects at once or not at all, unless very many wait before it.
  timeval limit = {2, 0};
  setsockopt(descriptor.number(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  auto *generic = reinterpret_cast<sockaddr *>(&address);
  if (!descriptor || connect(descriptor.number(), generic, sizeof address) != 0) {
    return Descriptor();
  }
  return descriptor;
}

Started::Started(const std::string &folder) {
  std::vector<std::string> words = command(), kept = worker_environment(folder);
  std::vector<char *> arguments = pointers(words), variables = pointers(kept);
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) throw Failure("This application has too many files open.");
  Descriptor reading(ends[0]), writing(ends[1]);
  pid_t child = fork();
  if (child == 0) {
    // Forked twice, so that the worker is nobody's child here and leaves no zombie.
    if (fork() == 0) become(arguments.data(), variables.data(), ends[1]);
    _exit(0);
  }
  writing = Descriptor();
  if (child > 0) waitpid(child, nullptr, 0);
  Report report = {0, 0}, last = {0, 0};
  while (read(reading.number(), &last, sizeof last) == sizeof last) report = last;
  if (child < 0 || report.pid == 0) {
    throw Failure("The relume worker cannot be started: this machine has no room for another "
                  "process.");
  }
  if (report.error != 0) {
    throw Failure("relume is not where this application looks for it (" + words.front() + ": " +
                  std::strerror(report.error) + "). Run `relume host install ofx` once, or set "
                  "RELUME_COMMAND.");
  }
#ifdef SYS_pidfd_open
  process_ = Descriptor(static_cast<int>(syscall(SYS_pidfd_open, report.pid, 0)));
#endif
}

bool Started::ended() const {
  pollfd waiting = {process_.number(), POLLIN, 0};
  return process_ && poll(&waiting, 1, 0) == 1;
}

}  // namespace relume
