import HDF5
import TestSupport
import Testing

@Suite struct GroupTests {
  let directory: TemporaryDirectory

  init() throws { directory = try TemporaryDirectory() }

  @Test func membersAreListedInTheOrderOfCreation() throws {
    let path = directory.file("groups.h5")
    let file = try H5File.create(path)
    let names = (0..<20).map { "member.\(19 - $0)" }
    let group = try file.createGroup("outer").createGroup("inner")
    for name in names { try group.createDataset(name, [1]) }
    try file.createGroup("another")
    try file.close()

    let reader = try H5File.open(path)
    #expect(try reader.links() == ["outer", "another"])
    let inner = try reader.openGroup("outer/inner")
    #expect(inner.name == "/outer/inner")
    #expect(try inner.links() == names)
    #expect(try reader.contains("outer/inner/member.3"))
    #expect(try !reader.contains("outer/missing/member.3"))
    #expect(try !reader.contains("/nothing"))
    #expect(try inner.isDataset("member.3"))
    #expect(try !reader.isDataset("outer"))
    #expect(try !reader.isDataset("nothing"))
  }

  @Test func attributesSurviveOnFilesGroupsAndDatasets() throws {
    let path = directory.file("attributes.h5")
    let file = try H5File.create(path)
    let objects = [file, try file.createGroup("group"), try file.createDataset("dataset", [1])]
    for object in objects {
      try object.setAttribute("text", "first")
      try object.setAttribute("text", "Übung \u{0}")
      try object.setAttribute("empty", "")
      try object.setAttribute("texts", ["i", "f", "", "語"])
      try object.setAttribute("no texts", [String]())
      try object.setAttribute("integer", Int64.min)
      try object.setAttribute("unsigned", UInt64.max)
      try object.setAttribute("real", 0.1)
      try object.setAttribute("integers", [Int64(3), -1])
      try object.setAttribute("no integers", [Int64]())
    }
    try file.close()

    let reader = try H5File.open(path)
    let readers = [reader, try reader.openGroup("group"), try reader.openDataset("dataset")]
    for object in readers {
      #expect(try object.attribute("text") == "Übung \u{0}")
      #expect(try object.attribute("empty") == "")
      #expect(try object.attribute("texts", as: [String].self) == ["i", "f", "", "語"])
      #expect(try object.attribute("no texts", as: [String].self) == [])
      #expect(try object.attribute("integer", as: Int64.self) == .min)
      #expect(try object.attribute("unsigned", as: UInt64.self) == .max)
      #expect(try object.attribute("real", as: Double.self) == 0.1)
      #expect(try object.attribute("integers", as: [Int64].self) == [3, -1])
      #expect(try object.attribute("no integers", as: [Int64].self) == [])
      #expect(try object.attributeNames().prefix(3) == ["empty", "integer", "integers"])
      #expect(try object.attributeNames().count == 9)
      #expect(try object.hasAttribute("real"))
      #expect(try !object.hasAttribute("unreal"))
    }
  }
}
