import Files
import Foundation
import Signals
import Workers

/// What a subcommand does when a stop signal comes. The others are quick, and simply end.
enum StopResponse {
  /// Commands that poll for the signal: it asks for the signal between its steps.
  case finishing
  /// Nothing was written, so there is nothing to clean up.
  case ending

  init?(subcommand: String) {
    switch subcommand {
    case "train", "prepare": self = .finishing
    case "evaluate", "generate", "benchmark": self = .ending
    default: return nil
    }
  }

  /// Acknowledges the first signal on standard error as soon as it comes, whatever the program is busy with.
  func install() {
    switch self {
    case .finishing:
      StopSignal.promise = .stopBeforeFirstStep
      StopSignal.install(takesNotice: WorkerLaunch.isUnderOpenMPI) { Self.announce($0, $1) }
    case .ending:
      StopSignal.install { number, promise in
        Self.announce(number, promise)
        // The name that it has taken is free again at its end, and the other ranks are a moment later.
        if WorkerLaunch.isRank { usleep(500_000) }
        StopSignal.end(by: number)
      }
    }
  }

  /// Prints the line, once on each host: mpirun and Slurm signal all processes of a job.
  private static func announce(_ number: Int32, _ promise: StopPromise) {
    if !WorkerLaunch.isFirstProcess { usleep(150_000) }
    // A launcher ends the ranks that are left when one has failed; that needs no line of its own.
    guard !WorkerLaunch.isLeaving, isFirstToSpeak() else { return }
    let condition = number == SIGCONT ? ", if there is time" : ""
    StandardError.print("\(StopSignal.news(of: number)): \(promise.text)\(condition)")
  }

  /// Whether no other process of this job and host has spoken. They have their parent in common, and an address in the
  /// abstract name space of Linux is free until a process takes it. Without such addresses it is the first rank.
  private static func isFirstToSpeak() -> Bool {
    let socket = Foundation.socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let name = Array("\0lockstep-stop-\(getppid())".utf8)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: name) }
    let length = socklen_t(MemoryLayout<sa_family_t>.size + name.count)
    return withUnsafePointer(to: &address) {
      // The socket stays open, so that the name stays taken.
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
        if bind(socket, address, length) == 0 { return true }
        return errno != EADDRINUSE && WorkerLaunch.isFirstProcess
      }
    }
  }
}
