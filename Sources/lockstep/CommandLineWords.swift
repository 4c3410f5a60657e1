import CArguments
import Failures

/// The words of the command line.
enum CommandLineWords {
  /// Those after the program's name.
  /// - Throws: ``Failure`` (usage) for a word that is not UTF-8: repaired, a path would name another file.
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

  /// The parser takes each `--` for the end of the options, even where it is what an option was given.
  private static func joiningPrompt(_ words: [String]) -> [String] {
    guard let end = words.firstIndex(of: "--"), end > 0, words[end - 1] == "--prompt" else { return words }
    return words[..<(end - 1)] + ["--prompt=--"] + words[(end + 1)...]
  }
}
