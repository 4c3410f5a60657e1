import Failures
import Foundation
import Synchronization

/// The exclusive right to write in a directory, held from ``acquire(in:)`` to ``release()``.
///
/// Two things hold it. The kernel's lock on the file (flock) ends with its process, also by kill −9, and is seen from all
/// processes of the machine, and through the file system's server often from others. For file systems without such locks the
/// file names its holder, who touches it now and then. The holder is gone where its process is known to be, and where the file
/// has not been touched for ``Rules/silence``; a holder on another machine that still touches its file never loses its lock.
package final class DirectoryLock: Sendable {
  /// The times by which a lock is judged.
  package struct Rules: Sendable {
    /// How long a start waits for a holder that may be about to end.
    package var patience: Duration = .seconds(10)
    /// A file that was not touched for so long has lost its holder.
    package var silence: Duration = .seconds(300)
    /// How often the holder touches the file.
    package var beat: Duration = .seconds(20)
    /// Whether to ask the kernel; tests stand in for file systems that have no such locks.
    package var asksKernel = true

    package init() {}
  }

  package static let fileName = "lock"

  /// The directory.
  package let directory: String
  private let record: LockRecord
  private let held: Mutex<OpenLock?>
  private let heartbeat: Heartbeat

  fileprivate init(directory: String, file: OpenLock, record: LockRecord, rules: Rules) {
    (self.directory, self.record) = (directory, record)
    held = Mutex(file)
    heartbeat = Heartbeat(every: rules.beat)
    heartbeat.start { [weak self] in self?.touch() }
  }

  deinit { release() }

  /// Releases the directory. The file goes, so that nothing is left to judge.
  package func release() {
    heartbeat.stop()
    held.withLock { file in
      guard let open = file else { return }
      file = nil
      // Only the own file: another's stands here if the lock was broken.
      if open.isInPlace { _ = unlink(open.path) }
    }
  }

  /// Checks that the lock has not been broken or removed meanwhile. Cheap; called before anything is written for good.
  ///
  /// - Throws: `Failure` (can't write) that names the new holder.
  package func check() throws {
    try held.withLock { file in
      guard let open = file else { return }
      if open.isInPlace { return }
      let path = open.path
      guard access(directory, F_OK) == 0 else {
        throw Failure(
          .cannotWrite, "the directory is gone: it was moved or removed while the run was using it", at: directory,
          remedy: "if it was moved, resume there with --resume latest --set run.directory=DIR; what was removed is lost"
        )
      }
      // The lock file was removed. Take the lock again, unless another process has it by now.
      if let again = try OpenLock.create(path) {
        again.write(record)
        again.lock()
        file = again
        return
      }
      let other = OpenLock.open(path)?.record?.holder
      throw Failure(
        .cannotWrite, "another run has taken over this directory", at: directory,
        cause: other.map { "process \($0.process) on \($0.host) holds \(path)" },
        remedy: "this run ends here; its checkpoints are those of before")
    }
  }

  private func touch() {
    held.withLock { file in if let open = file { open.touch() } }
  }
}

extension DirectoryLock {
  /// Takes the lock of a directory, which must exist.
  ///
  /// - Parameters:
  ///   - breaking: whether to take it from whoever holds it.
  ///   - waiting: called once with a line to show if it must wait.
  ///   - interrupt: called now and then meanwhile; what it throws ends the waiting.
  /// - Throws: `Failure` (can't write) where another holds it, or the file can't be made.
  package static func acquire(
    in directory: String, breaking: Bool = false, rules: Rules = Rules(), waiting: (String) -> Void = { _ in },
    interrupt: () throws -> Void = {}
  ) throws -> DirectoryLock {
    let path = "\(directory)/\(fileName)"
    let deadline = ContinuousClock.now + rules.patience
    var hasSaid = false
    while true {
      let judgement = try attempt(path, rules)
      switch judgement {
      case .mine(let open, let record):
        return DirectoryLock(directory: directory, file: open, record: record, rules: rules)
      case .again:
        continue
      case .held(let holder, let age):
        if breaking {
          try moveAside(path)
          continue
        }
        guard ContinuousClock.now < deadline else { throw refusal(directory, holder, age, rules) }
        if !hasSaid {
          let patience = rules.patience.components.seconds
          waiting("\(directory) is in use by \(name(of: holder)); waiting up to \(patience) s for it to end")
        }
        hasSaid = true
        try interrupt()
        usleep(100_000)
      }
    }
  }

  private enum Judgement {
    case mine(OpenLock, LockRecord)
    /// `age`: how long the file has not been touched.
    case held(ProcessIdentity?, age: Duration)
    case again
  }

  private static func attempt(_ path: String, _ rules: Rules) throws -> Judgement {
    let record = LockRecord()
    if let new = try OpenLock.create(path) {
      if rules.asksKernel, new.lock() == .taken { return .again }
      try new.writeOrThrow(record)
      return .mine(new, record)
    }
    guard let open = OpenLock.open(path) else {
      if errno == ENOENT { return .again }
      throw Failure.posix(.cannotWrite, "can't be opened", at: path)
    }
    let kernel = rules.asksKernel ? open.lock() : .none
    let (found, age) = (open.record, open.age)
    if kernel == .taken { return .held(found?.holder, age: age) }
    guard open.isInPlace else { return .again }
    if !isStale(found, age: age, kernelSaysFree: kernel == .free, rules) { return .held(found?.holder, age: age) }
    if kernel == .free {
      try open.writeOrThrow(record)
      return .mine(open, record)
    }
    // Without the kernel's help two may have judged alike: only one of them moves this very file away.
    try moveAside(path, expecting: found)
    return .again
  }

  /// Whether the holder that a record names is gone.
  private static func isStale(_ record: LockRecord?, age: Duration, kernelSaysFree: Bool, _ rules: Rules) -> Bool {
    if let holder = record?.holder {
      if kernelSaysFree, holder.sharesMachine(with: .current) { return true }
      if let isRunning = holder.isRunning { return !isRunning }
    } else if kernelSaysFree {
      // Made and never written: its maker died in between.
      return true
    }
    return age >= rules.silence
  }

  private static func moveAside(_ path: String, expecting record: LockRecord? = nil) throws {
    let aside = "\(path).broken-\(String(UInt64.random(in: 0...UInt64.max), radix: 16))"
    guard rename(path, aside) == 0 else {
      if errno == ENOENT { return }
      throw Failure.posix(.cannotWrite, "can't be taken over", at: path)
    }
    if let record, OpenLock.open(aside)?.record != record {
      // It was a newer one: back to its place, unless it is taken.
      _ = link(aside, path)
    }
    _ = unlink(aside)
  }

  private static func name(of holder: ProcessIdentity?) -> String {
    holder.map { "process \($0.process) on \($0.host)" } ?? "another process"
  }

  private static func refusal(
    _ directory: String, _ holder: ProcessIdentity?, _ age: Duration, _ rules: Rules
  ) -> Failure {
    let (seconds, limit) = (max(0, age.components.seconds), rules.silence.components.seconds)
    return Failure(
      .cannotWrite, "\(name(of: holder)) is using this run directory", at: directory,
      cause: "its last sign of life was \(seconds) s ago, and it counts as gone after \(limit) s",
      remedy: "wait for it or stop it, or choose another directory with --set run.directory=DIR; if it has long gone, "
        + "start with --break-lock")
  }
}
