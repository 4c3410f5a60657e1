// swift-tools-version: 6.2
import PackageDescription

// The pkg-config names of Debian and Ubuntu. The environment selects another MPI or HDF5, for example
// LOCKSTEP_MPI=mpich LOCKSTEP_HDF5=hdf5 swift build.
let mpiPackage = Context.environment["LOCKSTEP_MPI"] ?? "ompi-c"
let hdf5Package = Context.environment["LOCKSTEP_HDF5"] ?? "hdf5-serial"

// Continuous integration sets LOCKSTEP_STRICT=1, which turns warnings into errors.
let strict = Context.environment["LOCKSTEP_STRICT"] == "1"
let swiftSettings: [SwiftSetting] = strict ? [.treatAllWarnings(as: .error)] : []

let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let crypto: Target.Dependency = .product(name: "Crypto", package: "swift-crypto")
let yams: Target.Dependency = .product(name: "Yams", package: "Yams")
let arguments: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")

func room(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
  .target(name: name, dependencies: dependencies, swiftSettings: swiftSettings)
}

func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
  .testTarget(name: name, dependencies: dependencies, swiftSettings: swiftSettings)
}

let package = Package(
  name: "lockstep",
  products: [
    .executable(name: "lockstep", targets: ["lockstep"]),
    // Preloaded into processes by tests; a product, so that it is built with them.
    .library(name: "fault-shim", type: .dynamic, targets: ["FaultShim"]),
  ],
  // Exact versions, so that every machine builds the same program: workers compare their builds before they train, and
  // help texts come from the argument parser. They are pinned here because Package.resolved is not under version
  // control:
  // it records revisions, which are valid for one mirror of a package only. Upgrade deliberately, and run the tests.
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
    .package(url: "https://github.com/apple/swift-crypto", exact: "4.5.2"),
    .package(url: "https://github.com/apple/swift-log", exact: "1.16.2"),
    .package(url: "https://github.com/jpsim/Yams", exact: "6.2.2"),
  ],
  targets: [
    .systemLibrary(name: "CMPI", pkgConfig: mpiPackage, providers: [.apt(["libopenmpi-dev"])]),
    .systemLibrary(name: "CHDF5", pkgConfig: hdf5Package, providers: [.apt(["libhdf5-dev"])]),
    .systemLibrary(name: "CLinux"),
    .target(name: "CArguments"),
    .target(name: "CProgram"),
    // Optimised in debug builds too: unoptimised C is two orders of magnitude slower.
    .target(name: "CKernels", cSettings: [.unsafeFlags(["-O3", "-fno-math-errno"])]),

    room("Failures", []),
    room("Parameters", ["Failures"]),
    room("Sharding", ["Parameters"]),
    room("Kernels", ["Sharding", "Parameters", "Failures", "CKernels"]),
    room("Interfaces", ["Kernels", "Sharding", "Parameters"]),
    room("Layers", ["Interfaces", "Kernels", "Sharding", "Parameters"]),
    room("Models", ["Layers", "Interfaces", "Kernels", "Sharding", "Parameters"]),
    room("Optimizers", ["Kernels", "Parameters"]),
    room("Signals", ["Failures"]),
    room("Files", ["CLinux", "Failures", crypto]),
    room("MPI", ["CMPI", "Failures"]),
    room("Workers", ["MPI", "Parameters", "Files", "Signals", "Failures", "CLinux", "CProgram", crypto]),
    room("Exchange", ["Optimizers", "Workers", "Signals", "Interfaces", "Kernels", "Sharding", "Parameters"]),
    .target(name: "CHDF5Driver", dependencies: ["CHDF5"]),
    room("HDF5", ["CHDF5", "CHDF5Driver", "Failures"]),
    room("Corpus", ["HDF5", "Files", "Interfaces", "Kernels", "Sharding", "Parameters", "Failures", crypto]),
    room("Checkpoints", ["Corpus", "Models", "HDF5", "Files", "Parameters", "Failures"]),
    room(
      "Configuration",
      ["Checkpoints", "Models", "Layers", "Interfaces", "Kernels", "Optimizers", "Files", "Failures", yams]),
    room(
      "Training",
      [
        "Configuration", "Checkpoints", "Corpus", "HDF5", "Exchange", "Workers", "Optimizers", "Models", "Layers",
        "Interfaces",
        "Kernels", "Sharding", "Parameters", "Files", "Signals", "Failures", logging, crypto,
      ]),
    room("Inference", ["Corpus", "Interfaces", "Kernels", "Sharding", "Parameters", "Failures"]),
    .executableTarget(
      name: "lockstep",
      dependencies: [
        "Training", "Inference", "Configuration", "Checkpoints", "Corpus", "Exchange", "Workers", "Models", "Layers",
        "Interfaces", "Kernels", "Sharding", "Files", "Signals", "Failures", "CArguments", arguments, logging,
      ],
      swiftSettings: swiftSettings),
    .executableTarget(
      name: "worker-scenarios",
      dependencies: [
        "WorkerScenarios", "Training", "Exchange", "Models", "Layers", "Interfaces", "Kernels", "Sharding", "Workers",
        "Corpus", "Checkpoints", "Configuration", "Parameters", "Signals", "Failures", logging,
      ],
      path: "Tests/worker-scenarios", swiftSettings: swiftSettings),

    tests("HDF5Tests", ["TestSupport", "HDF5", "CHDF5", "Failures"]),
    tests("CheckpointsTests", ["TestSupport", "Checkpoints", "Files", "HDF5", "Failures", crypto]),
    // A library, so that tests can run the scenarios on threads too.
    .target(
      name: "WorkerScenarios",
      dependencies: [
        "Exchange", "Workers", "Signals", "Optimizers", "Interfaces", "Kernels", "Sharding", "Parameters", "Failures",
      ],
      path: "Tests/WorkerScenarios", swiftSettings: swiftSettings),

    .target(name: "FaultShim", path: "Tests/FaultShim"),
    tests(
      "FaultTests", ["TestSupport", "lockstep", "Kernels", "Parameters", "Checkpoints", "Corpus", "Files", "Failures"]),
    .target(
      name: "TestSupport", dependencies: ["Workers", "Failures"], path: "Tests/TestSupport",
      swiftSettings: swiftSettings),
    tests(
      "ExchangeTests",
      [
        "TestSupport", "WorkerScenarios", "Exchange", "Workers", "Optimizers", "Models", "Layers", "Interfaces",
        "Kernels", "Sharding", "Parameters", "CLinux",
      ]),
    tests("InferenceTests", ["TestSupport", "Inference", "Models", "Corpus", "Kernels", "Sharding", "Failures"]),
    tests("MPITests", ["MPI", "Failures"]),
    tests("WorkersTests", ["TestSupport", "Workers", "WorkerScenarios", "Failures"]),
    tests("ParallelTests", ["TestSupport", "worker-scenarios"]),
    tests(
      "ConfigurationTests",
      ["TestSupport", "Configuration", "Optimizers", "Layers", "Interfaces", "Kernels", "Failures"]),
    tests("CorpusTests", ["TestSupport", "Corpus", "Interfaces", "HDF5", "Files", "Failures", crypto]),
    .testTarget(
      name: "EndToEndTests",
      dependencies: [
        "TestSupport", "lockstep", "Configuration", "Checkpoints", "Corpus", "Models", "Layers", "Interfaces",
        "Kernels",
        "Sharding", "Parameters",
      ],
      exclude: ["Golden", "kneser_ney.py", "torch_logits.py", "torch_trajectory.py"], swiftSettings: swiftSettings),
    tests(
      "TrainingTests",
      [
        "TestSupport", "Training", "Exchange", "Models", "Layers", "Interfaces", "Optimizers", "Workers", "Corpus",
        "Checkpoints", "Configuration", "Kernels", "Sharding", "Parameters", "CLinux", "Files", "HDF5", "Failures",
        logging,
      ]),

    // Reference implementations for tests, in scalar loops and double precision.
    .target(
      name: "ReferenceModels", dependencies: ["Models", "Layers", "Kernels", "Parameters"],
      path: "Tests/ReferenceModels", swiftSettings: swiftSettings),
    .target(
      name: "NumericSupport", dependencies: ["Kernels", "Parameters"], path: "Tests/NumericSupport",
      swiftSettings: swiftSettings),
    tests("FilesTests", ["TestSupport", "Files", "Failures"]),
    tests("ParametersTests", ["Parameters", "Failures"]),
    tests("ShardingTests", ["Sharding", "Kernels", "Parameters"]),
    tests("KernelsTests", ["Kernels", "Sharding", "Parameters", "Failures", "NumericSupport"]),
    tests(
      "LayersTests", ["Layers", "Interfaces", "Kernels", "Sharding", "Parameters", "NumericSupport", "ReferenceModels"]),
    tests(
      "ModelsTests",
      [
        "TestSupport", "Models", "Layers", "Interfaces", "Kernels", "Sharding", "Parameters", "NumericSupport",
        "ReferenceModels",
      ]),
    tests("OptimizersTests", ["Optimizers", "Kernels", "Parameters"]),
  ]
)
