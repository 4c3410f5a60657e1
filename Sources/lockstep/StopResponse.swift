import Files
import Foundation
import Signals
import Workers

/// A subcommand's response to a stop signal. Commands without one are quick and keep the default action.
enum StopResponse {
  /// The command polls for the signal between its steps and ends in an orderly way.
  case finishing
  /// The process ends at once, since the command leaves nothing to clean up.
  case ending

  init?(subcommand: String) {
    switch subcommand {
    case "train", "prepare": self = .finishing
    case "evaluate", "predict", "generate", "benchmark": self = .ending
    default: return nil
    }
  }

  /// Installs the handlers, which acknowledge the first signal on standard error at once, whatever the program is
  /// doing.
  func install() {
    switch self {
    case .finishing:
      StopSignal.promise = .stopBeforeFirstStep
      StopSignal.install(takesNotice: WorkerLaunch.isUnderOpenMPI) { Self.announce($0, $1) }
    case .ending:
      StopSignal.install { number, promise in
        Self.announce(number, promise)
        // Other ranks may get the signal a little later; until then this process must hold the name of isFirstToSpeak.
        if WorkerLaunch.isRank { usleep(500_000) }
        StopSignal.end(by: number)
      }
    }
  }

  /// Prints the line once per host, since mpirun and Slurm signal all processes of a job.
  private static func announce(_ number: Int32, _ promise: StopPromise) {
    if !WorkerLaunch.isFirstProcess { usleep(150_000) }
    // When a rank fails, the launcher signals the remaining ones; that needs no message.
    guard !WorkerLaunch.isLeaving, isFirstToSpeak() else { return }
    let condition = number == SIGCONT ? ", if there is time" : ""
    StandardError.print("\(StopSignal.news(of: number)): \(promise.text)\(condition)")
  }

  /// Whether this is the first process of the job on this host to announce the signal.
  ///
  /// The processes share a parent, whose id names a Linux abstract socket that only one of them can bind. If such
  /// sockets
  /// are unavailable, the first rank speaks.
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
