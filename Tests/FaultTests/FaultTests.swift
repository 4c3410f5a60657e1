import Foundation
import Parameters
import TestSupport
import Testing

extension HarnessTests {
  /// Runs to which something happens. After each the run is resumed, in part by another number of workers, and must come to
  /// the weights and the metrics of one that nobody disturbed, and leave nothing else behind.
  @Suite(
    .enabled(if: FaultShim.isBuilt, "libfault-shim.so is not built: 'swift build' makes it"),
    .disabled(if: TestMode.isSanitized, "a sanitizer must be the first library of a process, and so must the shim"))
  struct FaultTests {
    private static let workload = Result { try FaultWorkload() }
    private static let sample = 1
    private static let long = 20

    @Test(arguments: FaultPlan.Kind.allCases.filter { !$0.needsMPI })
    func aRunComesToItsEnd(_ kind: FaultPlan.Kind) throws { try carryOut(kind) }

    @Test(
      .enabled(if: MPIRun.isAvailable, "mpirun is not installed"),
      arguments: FaultPlan.Kind.allCases.filter(\.needsMPI))
    func aRunOfRanksComesToItsEnd(_ kind: FaultPlan.Kind) throws { try carryOut(kind) }

    private func carryOut(_ kind: FaultPlan.Kind) throws {
      let trials = TestMode.trials(of: kind.rawValue, sample: Self.sample, long: Self.long)
      guard !trials.isEmpty else { return }
      let workload = try Self.workload.get()
      let tally = Tally(kind.rawValue)
      TestMode.forEach(in: trials) { number, _ in
        var random = TestMode.random(kind.rawValue, number)
        let plan = FaultPlan.draw(kind, workload, &random)
        if TestMode.single != nil { print(plan) }
        do {
          let directory = try workload.trialDirectory("\(kind.rawValue)-\(number)")
          let trial = FaultTrial(plan: plan, workload: workload, directory: directory)
          tally.count(try trial.carryOut())
          if TestMode.single == nil { try? FileManager.default.removeItem(atPath: directory) }
        } catch {
          tally.find(number, "\(plan): \((error as? FaultTrial.Finding)?.description ?? "\(error)")")
        }
      }
      tally.finish()
    }

    @Test(
      .enabled(if: MountTrial.isPossible, "needs root, unshare and mount: no real full or read-only disks are tried"),
      arguments: MountTrial.Kind.allCases)
    func aRealDiskMayFail(_ kind: MountTrial.Kind) throws {
      let trials = TestMode.trials(of: kind.rawValue, sample: Self.sample, long: Self.long)
      guard !trials.isEmpty else { return }
      let workload = try Self.workload.get()
      let tally = Tally(kind.rawValue)
      TestMode.forEach(in: trials) { number, _ in
        var random = TestMode.random(kind.rawValue, number)
        do {
          let directory = try workload.trialDirectory("\(kind.rawValue)-\(number)")
          tally.count(try MountTrial(kind: kind, workload: workload, directory: directory).carryOut(&random))
        } catch {
          tally.find(number, (error as? FaultTrial.Finding)?.description ?? "\(error)")
        }
      }
      tally.finish()
    }
  }
}
