import Foundation
import Kernels
import Parameters
import Synchronization

/// How much is tried: a sample in the usual tests, everything with LOCKSTEP_LONG=1 (`launch/test --long`), or one trial again
/// with LOCKSTEP_TRIAL=NAME/NUMBER (`launch/test --trial NAME/NUMBER`).
enum TestMode {
  private static func variable(_ name: String) -> String? { ProcessInfo.processInfo.environment[name] }

  static let isLong = variable("LOCKSTEP_LONG") == "1"

  /// Whether the command was built with a sanitizer (`launch/test --sanitize`).
  static let isSanitized = variable("LOCKSTEP_SANITIZE") != nil

  /// The seed of all trials. Together with a trial's name and number it decides everything that is random about it, but for
  /// the moment at which a signal from outside arrives.
  static let seed = variable("LOCKSTEP_SEED").flatMap { UInt64($0) } ?? 1

  /// The trial that is asked for.
  static let single: (name: String, number: Int)? = {
    guard let parts = variable("LOCKSTEP_TRIAL")?.split(separator: "/"), parts.count == 2, let number = Int(parts[1])
    else { return nil }
    return (String(parts[0]), number)
  }()

  /// The numbers of the trials to make under this name.
  static func trials(of name: String, sample: Int, long: Int) -> Range<Int> {
    if let single { return single.name == name ? single.number..<single.number + 1 : 0..<0 }
    if let count = variable("LOCKSTEP_TRIALS").flatMap({ Int($0) }) { return 0..<count }
    return 0..<(isLong ? long : sample)
  }

  /// The random numbers of one trial.
  static func random(_ name: String, _ number: Int) -> RandomStream {
    // FNV-1a, so that each name has numbers of its own.
    let hash = name.utf8.reduce(UInt32(2_166_136_261)) { ($0 ^ UInt32($1)) &* 16_777_619 }
    return RandomStream(seed: seed, stream: UInt64(hash) << 32 | UInt64(number))
  }

  /// How to make one trial again.
  static func command(repeating name: String, _ number: Int) -> String {
    "launch/test --trial \(name)/\(number)\(seed == 1 ? "" : " --seed \(seed)")"
  }

  /// Trials that run side by side.
  static let jobs =
    variable("LOCKSTEP_JOBS").flatMap { Int($0) }.map { max(1, $0) } ?? ProcessInfo.processInfo.activeProcessorCount

  /// Calls `body` with each number of the range, and with the number of the thread, 0..<`jobs`, that it runs on.
  static func forEach(in range: Range<Int>, _ body: @escaping @Sendable (_ number: Int, _ job: Int) -> Void) {
    let next = Atomic(range.lowerBound)
    DispatchQueue.concurrentPerform(iterations: min(jobs, max(1, range.count))) { job in
      while true {
        let number = next.add(1, ordering: .relaxed).oldValue
        guard number < range.upperBound else { return }
        body(number, job)
      }
    }
  }
}
