import Failures
import Glibc

/// A POSIX thread with a stack of a chosen size, to be joined once.
///
/// Foundation's threads can't be joined, and the pool of Swift's tasks is no place to block in.
struct WorkerThread {
  private let handle: pthread_t

  /// Starts a thread that runs `body`.
  ///
  /// - Parameters:
  ///   - name: for the message of the error that is thrown when the system has no room for a thread.
  ///   - stackSize: bytes.
  init(name: String, stackSize: Int, _ body: @escaping @Sendable () -> Void) throws {
    var attributes = pthread_attr_t()
    pthread_attr_init(&attributes)
    defer { pthread_attr_destroy(&attributes) }
    pthread_attr_setstacksize(&attributes, stackSize)

    var handle = pthread_t()
    let start = Unmanaged.passRetained(Start(body))
    let status = pthread_create(
      &handle, &attributes,
      { argument in
        Unmanaged<Start>.fromOpaque(argument!).takeRetainedValue().body()
        return nil
      }, start.toOpaque())
    guard status == 0 else {
      start.release()
      throw Failure(
        .softwareFault, "can't start a thread", at: name, cause: String(cString: strerror(status)),
        remedy: "use fewer workers")
    }
    self.handle = handle
  }

  func join() { pthread_join(handle, nil) }

  private final class Start {
    let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
  }
}
