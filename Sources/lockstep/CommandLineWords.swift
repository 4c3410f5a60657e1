import CArguments
import Failures

/// The arguments of the command line.
enum CommandLineWords {
  /// The arguments after the program's name.
  /// - Throws: ``Failure`` (usage) for an argument that is not UTF-8: a repaired path would name another file.
  static func given() throws -> [String] {
    let words = try (1..<max(1, Int(lockstep_argument_count()))).map { index in
      let word = lockstep_argument(Int32(index))
      if let text = String(validatingCString: word) { return text }
      throw Failure(
        .usage, "is not UTF-8: '\(String(cString: word))'", at: "argument \(index)",
        remedy: "rename the file, or give it through a link with a UTF-8 name")
    }
    return joiningPrompt(words)
  }

  /// Joins `--prompt --`: the parser takes any `--` as the end of the options, even as the value of an option.
  private static func joiningPrompt(_ words: [String]) -> [String] {
    guard let end = words.firstIndex(of: "--"), end > 0, words[end - 1] == "--prompt" else { return words }
    return words[..<(end - 1)] + ["--prompt=--"] + words[(end + 1)...]
  }
}
