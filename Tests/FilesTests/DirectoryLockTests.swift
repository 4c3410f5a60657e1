import Failures
import Files
import Foundation
import Synchronization
import TestSupport
import Testing

@Suite final class DirectoryLockTests: Sendable {
  private let temporary: TemporaryDirectory
  private var directory: String { temporary.path }
  private var path: String { "\(directory)/lock" }

  init() throws { temporary = try TemporaryDirectory() }

  private static func rules(_ change: (inout DirectoryLock.Rules) -> Void = { _ in }) -> DirectoryLock.Rules {
    var rules = DirectoryLock.Rules()
    rules.patience = .milliseconds(200)
    change(&rules)
    return rules
  }

  private static let withoutKernel = rules { $0.asksKernel = false }

  private func acquire(
    _ rules: DirectoryLock.Rules = rules(), breaking: Bool = false
  ) throws -> DirectoryLock { try DirectoryLock.acquire(in: directory, breaking: breaking, rules: rules) }

  private func expectRefused(
    _ rules: DirectoryLock.Rules, _ part: String = "is using this run directory",
    location: SourceLocation = #_sourceLocation
  ) throws {
    let failure = try #require(throws: Failure.self, sourceLocation: location) { try acquire(rules) }
    #expect(failure.exitStatus == .cannotWrite && failure.place == directory, sourceLocation: location)
    let text = "\(failure)"
    #expect(text.contains(part) && text.contains("--break-lock"), "\(text)", sourceLocation: location)
  }

  /// A lock file as another process left it, untouched for some seconds.
  private func leave(_ change: (inout ProcessIdentity) -> Void, silentFor seconds: Int = 0) throws {
    var holder = ProcessIdentity.current
    change(&holder)
    try leave(LockRecord(holder: holder).bytes, silentFor: seconds)
  }

  private func leave(_ bytes: [UInt8], silentFor seconds: Int) throws {
    try Data(bytes).write(to: URL(fileURLWithPath: path))
    try FileManager.default.setAttributes(
      [.modificationDate: Date(timeIntervalSinceNow: Double(-seconds))], ofItemAtPath: path)
  }

  /// The number of a process that has ended and been collected.
  private func deadProcess() throws -> pid_t {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/bin/true")
    try process.run()
    process.waitUntilExit()
    return process.processIdentifier
  }

  @Test(arguments: [true, false])
  func oneHolderAtATime(asksKernel: Bool) throws {
    let rules = Self.rules { $0.asksKernel = asksKernel }
    let first = try acquire(rules)
    try expectRefused(rules, "process \(getpid()) on ")
    try first.check()
    first.release()
    #expect(try FileManager.default.contentsOfDirectory(atPath: directory).isEmpty)
    let second = try acquire(rules)
    // Released twice, the first takes nothing from the second.
    first.release()
    try second.check()
    try expectRefused(rules)
  }

  @Test func aHolderThatIsDroppedReleases() throws {
    do { _ = try acquire() }
    #expect(!FileManager.default.fileExists(atPath: path))
  }

  @Test func aStartWaitsForADyingHolder() throws {
    let first = try acquire()
    let thread = Thread {
      usleep(300_000)
      first.release()
    }
    thread.start()
    let said = Mutex<[String]>([])
    let second = try DirectoryLock.acquire(in: directory, rules: Self.rules { $0.patience = .seconds(20) }) { line in
      said.withLock { $0.append(line) }
    }
    try second.check()
    #expect(said.withLock(\.count) == 1)
    #expect(said.withLock { $0.first?.contains("is in use by process \(getpid())") } == true)
  }

  @Test func aProcessOfThisMachineThatIsGoneHoldsNothing() throws {
    let dead = try deadProcess()
    try leave { $0.process = dead }
    try acquire(Self.withoutKernel).check()
    // The number was given to another process since.
    try leave { $0.started = "1" }
    try acquire(Self.withoutKernel).check()
    // Alive, as far as anybody knows.
    try leave { _ in }
    try expectRefused(Self.withoutKernel)
    try leave({ $0.started = "" }, silentFor: 100_000)
    try expectRefused(Self.withoutKernel)
  }

  @Test func theKernelKnowsBest() throws {
    // The process is there, but does not hold the file: a record that was left by a copy of the directory.
    try leave { _ in }
    try acquire().check()
    // In another namespace of this machine the same number is another process.
    try leave { $0.namespace = "pid:[1]" }
    try acquire().check()
  }

  @Test func anotherNamespaceIsJudgedByItsSilence() throws {
    try leave { $0.namespace = "pid:[1]" }
    try expectRefused(Self.withoutKernel)
    try leave({ $0.namespace = "pid:[1]" }, silentFor: 301)
    try acquire(Self.withoutKernel).check()
  }

  @Test(arguments: [true, false])
  func anotherMachineIsJudgedByItsSilence(asksKernel: Bool) throws {
    let rules = Self.rules { $0.asksKernel = asksKernel }
    for silence in [0, 290] {
      try leave({ ($0.host, $0.boot) = ("node7", "another") }, silentFor: silence)
      try expectRefused(rules, "on node7")
    }
    try leave({ ($0.host, $0.boot) = ("node7", "another") }, silentFor: 310)
    try acquire(rules).check()
    // The same name after a reboot is not known to be the same machine.
    try leave { $0.boot = "another" }
    try expectRefused(rules)
  }

  @Test func anUnfinishedRecordIsHeldUntilItIsSilent() throws {
    for bytes in [[], Array(LockRecord().bytes.dropLast(9))] {
      try leave(bytes, silentFor: 0)
      try expectRefused(Self.withoutKernel)
      try leave(bytes, silentFor: 301)
      try acquire(Self.withoutKernel).check()
      try leave(bytes, silentFor: 0)
      try acquire().check()
    }
  }

  @Test(arguments: [true, false])
  func aBrokenLockIsNoticedByItsHolder(asksKernel: Bool) throws {
    let rules = Self.rules { $0.asksKernel = asksKernel }
    let first = try acquire(rules)
    let second = try acquire(rules, breaking: true)
    let failure = try #require(throws: Failure.self) { try first.check() }
    #expect("\(failure)".contains("taken over") && "\(failure)".contains("process \(getpid())"))
    first.release()
    try second.check()
    try leave { ($0.host, $0.boot) = ("node7", "another") }
    try acquire(rules, breaking: true).check()
  }

  @Test func aLockThatSomebodyRemovedIsTakenAgain() throws {
    let first = try acquire()
    try FileManager.default.removeItem(atPath: path)
    try first.check()
    try expectRefused(Self.rules())
    try FileManager.default.removeItem(atPath: directory)
    #expect(throws: Failure.self) { try first.check() }
  }

  @Test func theHolderTouchesItsFile() throws {
    let lock = try acquire(Self.rules { $0.beat = .milliseconds(20) })
    try FileManager.default.setAttributes([.modificationDate: Date(timeIntervalSince1970: 9)], ofItemAtPath: path)
    let deadline = ContinuousClock.now + .seconds(10)
    var touched = Date(timeIntervalSince1970: 9)
    while touched.timeIntervalSince1970 < 100, ContinuousClock.now < deadline {
      usleep(5000)
      touched = try FileManager.default.attributesOfItem(atPath: path)[.modificationDate] as? Date ?? touched
    }
    #expect(touched.timeIntervalSinceNow > -60)
    try lock.check()
  }

  /// Several find the same dead holder at the same moment.
  @Test(arguments: [true, false])
  func onlyOneTakesOver(asksKernel: Bool) throws {
    let rules = Self.rules {
      $0.asksKernel = asksKernel
      $0.patience = .zero
    }
    let dead = try deadProcess()
    for _ in 0..<20 {
      try leave { $0.process = dead }
      let holders = Mutex<[DirectoryLock]>([])
      DispatchQueue.concurrentPerform(iterations: 4) { _ in
        if let lock = try? acquire(rules) { holders.withLock { $0.append(lock) } }
      }
      let good = holders.withLock { $0.filter { (try? $0.check()) != nil } }
      #expect(good.count == 1)
    }
  }

  @Test func aLinkInTheWayIsNotFollowed() throws {
    let target = "\(directory)/target"
    try Data("precious".utf8).write(to: URL(fileURLWithPath: target))
    try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: target)
    #expect(throws: Failure.self) { try acquire() }
    #expect(try String(contentsOfFile: target, encoding: .utf8) == "precious")
  }

  @Test func recordsComeBack() {
    let record = LockRecord()
    #expect(LockRecord(record.bytes) == record)
    #expect(LockRecord([]) == nil && LockRecord(Array("lockstep lock\nhost a\n".utf8)) == nil)
    #expect(ProcessIdentity.current.isRunning == true)
  }
}
