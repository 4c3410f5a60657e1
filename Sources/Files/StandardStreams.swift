import Failures
import Foundation
import Synchronization

/// The descriptors 0 to 2, as the process found them.
package enum StandardStreams {
  /// Opens those of the three that are closed, so that no other file gets their numbers and whatever is written to the
  /// standard streams; and ignores SIGPIPE and SIGXFSZ, so that a failing write says so itself.
  ///
  /// The first statement of the program.
  package static func prepare() {
    for descriptor in STDIN_FILENO...STDERR_FILENO where fcntl(descriptor, F_GETFD) == -1 && errno == EBADF {
      closedAtStart.bitwiseOr(1 << UInt8(descriptor), ordering: .relaxed)
      // The lowest free number is the closed one. Without a /dev the root directory serves: it refuses to be written.
      if open("/dev/null", O_RDWR) == -1 { _ = open("/", O_RDONLY) }
    }
    for signal in [SIGPIPE, SIGXFSZ] { _ = Foundation.signal(signal, SIG_IGN) }
  }

  /// Whether `descriptor` was closed when the process started.
  package static func wasClosed(_ descriptor: Int32) -> Bool {
    closedAtStart.load(ordering: .relaxed) & 1 << UInt8(descriptor) != 0
  }
}

private let closedAtStart = Atomic<UInt8>(0)

/// Writes whole messages to one descriptor, from any thread.
struct DescriptorWriter: ~Copyable {
  let descriptor: Int32
  /// Messages of several threads don't mix.
  private let lock = Mutex(())

  init(_ descriptor: Int32) { self.descriptor = descriptor }

  /// Writes all of `bytes`. Returns 0, or the error number of the write that failed.
  func write(_ bytes: UnsafeRawBufferPointer) -> Int32 {
    lock.withLock { _ in
      if StandardStreams.wasClosed(descriptor) { return EBADF }
      var written = 0
      while written < bytes.count {
        let count = Foundation.write(descriptor, bytes.baseAddress! + written, bytes.count - written)
        if count >= 0 {
          written += count
        } else if errno == EAGAIN || errno == EWOULDBLOCK {
          // Whoever shares this terminal or pipe has made it non-blocking.
          var waiting = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
          _ = poll(&waiting, 1, -1)
        } else if errno != EINTR {
          return errno
        }
      }
      return 0
    }
  }
}
