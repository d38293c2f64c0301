// How well a password stands against guessing; the dictionaries are fetched when one first types.

export type Strength = 0 | 1 | 2 | 3 | 4;

let meter: Promise<(password: string) => Strength> | undefined;

async function build(): Promise<(password: string) => Strength> {
  const [{ ZxcvbnFactory }, common, english] = await Promise.all([
    import("@zxcvbn-ts/core"),
    import("@zxcvbn-ts/language-common"),
    import("@zxcvbn-ts/language-en"),
  ]);
  const zxcvbn = new ZxcvbnFactory({
    dictionary: { ...common.dictionary, ...english.dictionary },
    graphs: common.adjacencyGraphs,
  });
  // Its time grows with the length; what comes after a hundred letters adds nothing to the verdict.
  return (password) => zxcvbn.check(password.slice(0, 100)).score;
}

export async function strengthOf(password: string): Promise<Strength> {
  meter ??= build();
  return (await meter)(password);
}
