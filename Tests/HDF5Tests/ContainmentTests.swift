import CHDF5
import Failures
import HDF5
import TestSupport
import Testing

/// Files that would have the library open other files.
@Suite struct ContainmentTests {
  let directory: TemporaryDirectory

  init() throws { directory = try TemporaryDirectory() }

  /// A file with a dataset "secret" for others to point at, and one that `body` fills through the C library.
  private func make(_ body: (_ file: hid_t, _ secret: String) -> Bool) throws -> H5File {
    let secret = directory.file("secret.h5")
    let other = try H5File.create(secret, existing: .replace)
    try other.createDataset("secret", [1, 2, 3])
    try other.close()
    let path = directory.file("file.h5")
    let file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT)
    #expect(file >= 0 && body(file, secret))
    #expect(H5Fclose(file) >= 0)
    return try H5File.open(path)
  }

  private func expectRefused(_ part: String, _ file: H5File, _ name: String) {
    for read in [{ _ = try file.openDataset(name) }, { _ = try file.openDataset(name).read(as: Int.self) }] {
      do {
        try read()
        Issue.record("\(name) was opened")
      } catch {
        #expect("\(error)".contains(part), "\(error)")
        #expect((error as? any ReportableError)?.exitStatus == .badData)
      }
    }
  }

  @Test func softLinksAreRefused() throws {
    let file = try make { file, _ in
      H5Lcreate_soft("/nowhere", file, "link", H5P_DEFAULT, H5P_DEFAULT) >= 0
        && H5Lcreate_soft("/circle", file, "circle", H5P_DEFAULT, H5P_DEFAULT) >= 0
    }
    expectRefused("link: is a soft link", file, "link")
    expectRefused("is a soft link", file, "circle/circle/x")
    #expect(throws: H5Error.self) { try file.openGroup("link") }
    #expect(throws: H5Error.self) { try file.contains("link") }
    #expect(throws: H5Error.self) { try file.isDataset("circle") }
  }

  @Test func externalLinksAreRefused() throws {
    let file = try make { file, secret in
      H5Lcreate_external(secret, "/", file, "other", H5P_DEFAULT, H5P_DEFAULT) >= 0
    }
    expectRefused("other: is an external link", file, "other/secret")
    #expect(throws: H5Error.self) { try file.openGroup("other") }
  }

  @Test func externalStorageIsRefused() throws {
    let file = try make { file, secret in
      let creation = H5Pcreate(H5P_DATASET_CREATE)
      guard H5Pset_external(creation, secret, 0, 24) >= 0 else { return false }
      let space = H5Screate_simple(1, [3], nil)
      let dataset = H5Dcreate2(file, "data", H5T_NATIVE_INT64, space, H5P_DEFAULT, creation, H5P_DEFAULT)
      return dataset >= 0 && H5Dclose(dataset) >= 0
    }
    expectRefused("external storage", file, "data")
  }

  @Test func virtualDatasetsAreRefused() throws {
    let file = try make { file, secret in
      let creation = H5Pcreate(H5P_DATASET_CREATE)
      let space = H5Screate_simple(1, [3], nil)
      guard H5Pset_virtual(creation, space, secret, "/secret", space) >= 0 else { return false }
      let dataset = H5Dcreate2(file, "data", H5T_NATIVE_INT64, space, H5P_DEFAULT, creation, H5P_DEFAULT)
      return dataset >= 0 && H5Dclose(dataset) >= 0
    }
    expectRefused("virtual dataset", file, "data")
  }

  @Test func attributesThatClaimMuchAreRefused() throws {
    let file = try make { file, _ in
      let type = H5Tcopy(H5T_C_S1)
      guard H5Tset_size(type, 40_000) >= 0 else { return false }
      let space = H5Screate_simple(1, [1], nil)
      // One text of 40,000 bytes is fine.
      let attribute = H5Acreate2(file, "text", type, space, H5P_DEFAULT, H5P_DEFAULT)
      return attribute >= 0 && H5Aclose(attribute) >= 0
    }
    #expect(try file.attribute("text") == "")
  }
}
