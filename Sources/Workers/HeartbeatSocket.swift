import Glibc

/// Datagrams by which the ranks' watchdogs tell each other that they live, beside MPI: a thread of its own must not call
/// MPI, and a rank that waits in MPI can't.
///
/// UDP over IPv4. A lost datagram costs nothing, since the next one follows; where none gets through, ranks know nothing
/// of each other and say so. A random number that the ranks have agreed on keeps strangers out.
final class HeartbeatSocket: Sendable {
  /// Where a rank can be reached.
  struct Endpoint: Codable, Equatable, Sendable {
    /// In network byte order.
    let address: UInt32
    let port: UInt16
  }

  struct Message: Equatable, Sendable {
    var token: UInt64 = 0
    var rank: UInt64 = 0
    var snapshot = Activity.Snapshot()
    /// What stands for the error that ends this rank; 0 without one.
    var error: UInt64 = 0
  }

  let descriptor: Int32
  private let port: UInt16

  /// nil where the system gives no such socket.
  init?() {
    let descriptor = socket(AF_INET, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { return nil }
    var name = sockaddr_in()
    name.sin_family = sa_family_t(AF_INET)
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let status = withUnsafeMutablePointer(to: &name) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
        bind(descriptor, address, length) == 0 ? getsockname(descriptor, address, &length) : -1
      }
    }
    guard status == 0 else {
      close(descriptor)
      return nil
    }
    self.descriptor = descriptor
    port = name.sin_port
  }

  deinit { close(descriptor) }

  /// The addresses of this machine's interfaces, the loopback first.
  var endpoints: [Endpoint] {
    var endpoints: [Endpoint] = []
    var first: UnsafeMutablePointer<ifaddrs>?
    guard getifaddrs(&first) == 0 else { return [] }
    defer { freeifaddrs(first) }
    var next = first
    while let interface = next?.pointee {
      next = interface.ifa_next
      guard let address = interface.ifa_addr, address.pointee.sa_family == sa_family_t(AF_INET),
        interface.ifa_flags & UInt32(IFF_UP) != 0
      else { continue }
      let value = UnsafeRawPointer(address).loadUnaligned(as: sockaddr_in.self).sin_addr.s_addr
      endpoints.append(Endpoint(address: value, port: port))
    }
    return Array(endpoints.prefix(Self.mostEndpoints))
  }

  /// A machine with many bridges must not multiply the traffic.
  private static let mostEndpoints = 6

  /// Sends without waiting; what can't be sent is lost.
  func send(_ message: Message, to endpoint: Endpoint) {
    var name = sockaddr_in()
    name.sin_family = sa_family_t(AF_INET)
    name.sin_port = endpoint.port
    name.sin_addr.s_addr = endpoint.address
    withUnsafeBytes(of: message) { bytes in
      _ = withUnsafePointer(to: name) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          sendto(
            descriptor, bytes.baseAddress, bytes.count, Int32(MSG_DONTWAIT | MSG_NOSIGNAL), $0,
            socklen_t(MemoryLayout<sockaddr_in>.size))
        }
      }
    }
  }

  /// The next message that has arrived; nil if there is none. Others than ours have another token, or another size.
  func receive() -> Message? {
    var message = Message()
    while true {
      let size = MemoryLayout<Message>.size
      let count = withUnsafeMutableBytes(of: &message) {
        recv(descriptor, $0.baseAddress, $0.count, Int32(MSG_DONTWAIT | MSG_TRUNC))
      }
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { return nil }
      if count == size { return message }
    }
  }
}
