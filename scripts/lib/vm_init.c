/* The first process of the guest of scripts/vm: loads modules, assembles the root file system,
 * runs the command and carries its output and exit status to the host.
 *
 * It talks to the host over three virtio ports: p1 takes the command's standard output, p2 its
 * standard error, p3 the lines `ready` and `done STATUS OUTPUT ERROR NANOSECONDS`:
 * exit status, bytes of either stream, CPU time.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { kModulesMax = 256, kStringsMax = 1024, kBindsMax = 16, kChunkSize = 1 << 16 };

static FILE* kernel_log;

/* Ends the machine: the host takes a guest that stops before `done` as crashed. */
__attribute__((noreturn, format(printf, 1, 2))) static void die(const char* format, ...) {
  int error = errno;
  va_list arguments;
  va_start(arguments, format);
  if (kernel_log != NULL) {
    fputs("<3>vm: ", kernel_log);
    vfprintf(kernel_log, format, arguments);
    fprintf(kernel_log, ": %s\n", strerror(error));
    fflush(kernel_log);
  }
  va_end(arguments);
  reboot(RB_AUTOBOOT);
  _exit(1);
}

static void mount_at(const char* source, const char* target, const char* type, unsigned long flags,
                     const char* data) {
  mkdir(target, 0755);
  if (mount(source, target, type, flags, data) != 0) die("mount of %s", target);
}

/* For what a kernel may lack. */
static void try_mount(const char* source, const char* target, const char* type) {
  mkdir(target, 0755);
  mount(source, target, type, MS_NOSUID | MS_NODEV, NULL);
}

/* Reads a file whole and splits it at its NUL bytes; both live as long as the machine. */
static char** read_strings(const char* path) {
  static const size_t kSizeMax = 1 << 20;
  char** strings = calloc(kStringsMax + 1, sizeof(char*));
  char* text = calloc(1, kSizeMax + 1);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (strings == NULL || text == NULL || fd < 0) die("%s", path);
  size_t size = 0;
  ssize_t got;
  while ((got = read(fd, text + size, kSizeMax - size)) > 0) size += (size_t)got;
  close(fd);
  size_t count = 0;
  for (char* at = text; at < text + size && count < kStringsMax; at += strlen(at) + 1)
    strings[count++] = at;
  return strings;
}

static void load_modules(void) {
  for (char** name = read_strings("/config/modules"); *name != NULL; ++name) {
    char path[256];
    snprintf(path, sizeof path, "/modules/%s", *name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    /* ENODEV: a driver of instructions that this CPU does not have. */
    bool loaded = fd >= 0 && (syscall(SYS_finit_module, fd, "", 0) == 0 || errno == ENODEV);
    if (!loaded) fprintf(kernel_log, "<4>vm module %s: %s\n", *name, strerror(errno));
    fflush(kernel_log);
    if (fd >= 0) close(fd);
    unlink(path);
  }
}

static void make_folders(const char* path) {
  char copy[4096];
  snprintf(copy, sizeof copy, "%s", path);
  for (char* at = copy + 1; (at = strchr(at, '/')) != NULL; ++at) {
    *at = '\0';
    mkdir(copy, 0755);
    *at = '/';
  }
  mkdir(copy, 0755);
}

/* Mounts a fresh /tmp and /run; host folders that the command needs there stay visible. */
static void mount_scratch(char** binds) {
  int fds[kBindsMax];
  size_t count = 0;
  for (; binds[count] != NULL && count < kBindsMax; ++count)
    fds[count] = open(binds[count], O_PATH | O_CLOEXEC);
  mount_at("tmpfs", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777");
  mount_at("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755");
  for (size_t i = 0; i < count; ++i) {
    char source[64];
    snprintf(source, sizeof source, "/proc/self/fd/%d", fds[i]);
    make_folders(binds[i]);
    if (fds[i] < 0 || mount(source, binds[i], NULL, MS_BIND, NULL) != 0)
      die("host folder %s", binds[i]);
    close(fds[i]);
  }
}

static void assemble_root(char** binds, bool with_output_folder) {
  mount_at("root", "/lower", "virtiofs", MS_RDONLY, NULL);
  mount_at("tmpfs", "/upper", "tmpfs", 0, "mode=755");
  mkdir("/upper/data", 0755);
  mkdir("/upper/work", 0755);
  mount_at("overlay", "/root", "overlay", 0,
           "lowerdir=/lower,upperdir=/upper/data,workdir=/upper/work");
  static const char* const kKernelFolders[] = {"/proc", "/sys", "/dev"};
  for (size_t i = 0; i < 3; ++i) {
    char target[16];
    snprintf(target, sizeof target, "/root%s", kKernelFolders[i]);
    mkdir(target, 0755);
    if (mount(kKernelFolders[i], target, NULL, MS_MOVE, NULL) != 0) die("move to %s", target);
  }
  if (chdir("/root") != 0 || mount(".", "/", NULL, MS_MOVE, NULL) != 0 || chroot(".") != 0 ||
      chdir("/") != 0)
    die("root file system");
  mount_scratch(binds);
  mount_at("devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "mode=620,ptmxmode=666");
  mount_at("tmpfs", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777");
  try_mount("tracefs", "/sys/kernel/tracing", "tracefs");
  try_mount("debugfs", "/sys/kernel/debug", "debugfs");
  if (with_output_folder) mount_at("out", "/out", "virtiofs", 0, NULL);
}

static void raise_loopback(void) {
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  struct ifreq request = {.ifr_name = "lo"};
  if (fd < 0 || ioctl(fd, SIOCGIFFLAGS, &request) != 0) die("loopback");
  request.ifr_flags |= IFF_UP | IFF_RUNNING;
  if (ioctl(fd, SIOCSIFFLAGS, &request) != 0) die("loopback");
  close(fd);
}

/* The host's ports appear some time after their driver is loaded; the first number in their name
 * is the device's among all virtio devices. */
static int open_port(int number) {
  for (int attempt = 0; attempt < 5000; ++attempt) {
    char path[32];
    snprintf(path, sizeof path, "/dev/vport%dp%d", attempt % 4, number);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd >= 0) return fd;
    usleep(1000);
  }
  die("port %d", number);
}

static void write_all(int fd, const char* data, size_t size) {
  while (size > 0) {
    ssize_t done = write(fd, data, size);
    if (done < 0 && errno != EINTR) die("write to the host");
    if (done > 0) data += done, size -= (size_t)done;
  }
}

/* One stream of the command: a pipe that is copied to a port. */
struct Stream {
  int pipe_read;
  int pipe_write;
  int port;
  unsigned long long total;
};

static struct Stream open_stream(int port_number) {
  int fds[2];
  if (pipe2(fds, O_CLOEXEC) != 0) die("pipe");
  fcntl(fds[0], F_SETFL, O_NONBLOCK);
  return (struct Stream){fds[0], fds[1], open_port(port_number), 0};
}

/* Copies what is there; false once nothing is. */
static bool pump(struct Stream* stream) {
  static char chunk[kChunkSize];
  ssize_t got = read(stream->pipe_read, chunk, sizeof chunk);
  if (got <= 0) return false;
  write_all(stream->port, chunk, (size_t)got);
  stream->total += (unsigned long long)got;
  return true;
}

/* Reads files for the sake of the page cache: the command then need not wait for the host. What
 * the boot left to do in the background gets time to finish. */
static void warm(char** paths) {
  static char chunk[kChunkSize];
  if (*paths == NULL) return;
  for (; *paths != NULL; ++paths) {
    int fd = open(*paths, O_RDONLY | O_CLOEXEC);
    while (fd >= 0 && read(fd, chunk, sizeof chunk) > 0) continue;
    if (fd >= 0) close(fd);
  }
  sleep(3);
}

static void run_command(char** arguments, char** environment, const char* folder, int out,
                        int error_out) {
  setsid();
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  int null = open("/dev/null", O_RDONLY);
  dup2(null, STDIN_FILENO);
  dup2(out, STDOUT_FILENO);
  dup2(error_out, STDERR_FILENO);
  if (null > STDERR_FILENO) close(null);
  environ = environment;
  if (chdir(folder) != 0) {
    dprintf(STDERR_FILENO, "vm: %s in the guest: %s\n", folder, strerror(errno));
    _exit(126);
  }
  execvp(arguments[0], arguments);
  int status = errno == ENOENT ? 127 : 126;
  dprintf(STDERR_FILENO, "vm: %s in the guest: %s\n", arguments[0], strerror(errno));
  _exit(status);
}

/* The time that the first CPU has not been idle. With -icount a nanosecond is an instruction, but
 * the clock leaps to the next timer while the guest waits for the host, which is no work. */
static unsigned long long busy_nanoseconds(void) {
  usleep(1); /* The kernel accounts for a task when it leaves the CPU. */
  FILE* file = fopen("/proc/schedstat", "re");
  char line[512];
  unsigned long long busy = 0;
  while (file != NULL && fgets(line, sizeof line, file) != NULL)
    if (sscanf(line, "cpu0 %*u %*u %*u %*u %*u %*u %llu", &busy) == 1) break;
  if (file == NULL || busy == 0) die("/proc/schedstat");
  fclose(file);
  return busy;
}

static void link_standard_devices(void) {
  static const char* const kLinks[][2] = {{"/proc/self/fd", "/dev/fd"},
                                          {"/proc/self/fd/0", "/dev/stdin"},
                                          {"/proc/self/fd/1", "/dev/stdout"},
                                          {"/proc/self/fd/2", "/dev/stderr"}};
  for (size_t i = 0; i < 4; ++i)
    if (symlink(kLinks[i][0], kLinks[i][1]) != 0) die("%s", kLinks[i][1]);
}

/* The sanitizers of older compilers do not find their shadow memory under more random bits. */
static void calm_address_randomness(void) {
  int fd = open("/proc/sys/vm/mmap_rnd_bits", O_WRONLY | O_CLOEXEC);
  if (fd < 0 || write(fd, "28", 2) != 2) die("mmap_rnd_bits");
  close(fd);
}

/* Copies output until the command ends, reaping orphans on the way; returns its wait status. */
static int follow(pid_t command, int signals, struct Stream streams[2]) {
  struct pollfd polled[3] = {
      {signals, POLLIN, 0}, {streams[0].pipe_read, POLLIN, 0}, {streams[1].pipe_read, POLLIN, 0}};
  for (;;) {
    if (poll(polled, 3, -1) < 0 && errno != EINTR) die("poll");
    pump(&streams[0]);
    pump(&streams[1]);
    struct signalfd_siginfo ignored;
    if (read(signals, &ignored, sizeof ignored) < 0 && errno != EAGAIN) die("signalfd");
    int status;
    pid_t ended;
    while ((ended = waitpid(-1, &status, WNOHANG)) > 0)
      if (ended == command) return status;
  }
}

static void report(int port, const char* format, ...) {
  char line[128];
  va_list arguments;
  va_start(arguments, format);
  int size = vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  write_all(port, line, (size_t)size);
}

/* Copies what the ended command left in the pipe. What its children in the background write from
 * now on is nobody's output, and may have no end. */
static void drain(struct Stream* stream) {
  int left = 0;
  if (ioctl(stream->pipe_read, FIONREAD, &left) != 0) die("FIONREAD");
  unsigned long long total = stream->total + (unsigned long long)left;
  while (stream->total < total && pump(stream)) continue;
}

static int block_child_signals(void) {
  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  sigprocmask(SIG_BLOCK, &child, NULL);
  return signalfd(-1, &child, SFD_NONBLOCK | SFD_CLOEXEC);
}

static void run_and_report(char** arguments, char** environment, const char* folder,
                           char** warmed) {
  struct Stream streams[2] = {open_stream(1), open_stream(2)};
  int status_port = open_port(3);
  int signals = block_child_signals();
  warm(warmed);
  report(status_port, "ready\n");
  unsigned long long start = busy_nanoseconds();
  pid_t command = fork();
  if (command < 0) die("fork");
  if (command == 0)
    run_command(arguments, environment, folder, streams[0].pipe_write, streams[1].pipe_write);
  int status = follow(command, signals, streams);
  unsigned long long busy = busy_nanoseconds() - start;
  drain(&streams[0]);
  drain(&streams[1]);
  sync();
  report(status_port, "done %d %llu %llu %llu\n",
         WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status), streams[0].total,
         streams[1].total, busy);
}

int main(void) {
  mount_at("devtmpfs", "/dev", "devtmpfs", MS_NOSUID, "mode=755");
  kernel_log = fopen("/dev/kmsg", "we");
  mount_at("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
  mount_at("sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
  load_modules();
  char** arguments = read_strings("/config/arguments");
  char** environment = read_strings("/config/environment");
  char** folder = read_strings("/config/folder");
  char** warmed = read_strings("/config/warmed");
  bool with_output_folder = access("/config/out", F_OK) == 0;
  assemble_root(read_strings("/config/binds"), with_output_folder);
  link_standard_devices();
  calm_address_randomness();
  raise_loopback();
  sethostname("ktls-vm", 7);
  umask(022);
  run_and_report(arguments, environment, folder[0], warmed);
  for (;;) pause(); /* The host ends the machine once it has every byte. */
}
