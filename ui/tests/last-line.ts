// Says at the end of a run how many tests passed and failed, in the words that other tools read.
import type { Reporter, TestModule } from "vitest/node";

export default class LastLine implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const results = modules.flatMap((m) => [...m.children.allTests()].map((t) => t.result().state));
    const broken = modules.filter((m) => m.state() === "failed" && [...m.children.allTests()].length === 0);
    const failed = results.filter((s) => s === "failed").length + broken.length;
    process.once("exit", () => console.log(`${results.filter((s) => s === "passed").length} passed, ${failed} failed`));
  }
}
