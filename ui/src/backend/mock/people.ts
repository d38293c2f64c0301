// The people of the mock's small world, and what they wrote.
import type { Buddy, Presence, Relation } from "../generated";

export interface Person {
  user: string;
  displayName?: string;
  presence: Presence;
  mood?: string;
  relation?: Relation;
  greeting?: string;
  /** Lines of the conversation, oldest first: minutes ago, who, text. */
  lines?: [minutesAgo: number, who: "in" | "out", text: string][];
  unread?: number;
  /** Lets others find them by name. */
  listed?: boolean;
}

const DAY = 1440;

export const FAMILY: Person[] = [
  {
    user: "anna",
    displayName: "Anna Virtanen",
    presence: "online",
    mood: "In the garden until four",
    unread: 2,
    lines: [
      [2 * DAY + 130, "in", "Did you find the photos from midsummer?"],
      [2 * DAY + 129, "in", "The ones with the boat and Grandpa's new hat"],
      [2 * DAY + 95, "out", "Found them! 214 of them. I will bring a memory stick."],
      [2 * DAY + 94, "in", "😂 Of course there are 214"],
      [DAY + 200, "out", "Can you hear me better now? I moved the router to the hallway."],
      [DAY + 188, "in", "Much better. Before it sounded as if you were calling from a submarine."],
      [DAY + 187, "out", "I was in the sauna."],
      [DAY + 186, "out", "Close enough."],
      [52, "out", "We will take the 16:40 train, so we should be there a little after six."],
      [50, "out", "Do you need anything from the market hall?"],
      [31, "in", "Rye bread, please, and if they have the smoked whitefish, two of those."],
      [30, "in", "The potatoes are already boiling in my mind"],
      [4, "in", "Call me when you are on the train, I want to hear how the concert went."],
      [3, "in", "And bring the dog!"],
    ],
  },
  {
    user: "mikael",
    displayName: "Mikael Åkerblom",
    presence: "away",
    mood: "Back at 15",
    lines: [
      [DAY + 400, "in", "The choir practice moved to Thursday."],
      [DAY + 398, "out", "Thursday is fine. Same place?"],
      [DAY + 397, "in", "Same place, the side door this time."],
    ],
  },
  {
    user: "johanna-katariina",
    displayName: "Johanna-Katariina Hämäläinen-Vänskäläinen",
    presence: "online",
    mood: "Väitöskirjan viimeinen luku on melkein valmis, kahvia kuluu",
    unread: 1,
    lines: [
      [3 * DAY, "out", "Onnea väitöspäivään!"],
      [185, "in", "Kiitos! Tuletko karonkkaan? Epäjärjestelmällistyttämättömyydellänsäkäänköhän ei selitä kaikkea."],
    ],
  },
  {
    user: "layla",
    displayName: "ليلى عبد الرحمن",
    presence: "doNotDisturb",
    mood: "في اجتماع",
    lines: [
      [6 * DAY, "in", "مرحبا! هل نتحدث غدا في الساعة 10:30؟"],
      [6 * DAY - 4, "out", "Yes, 10:30 is perfect. I will call you."],
      [6 * DAY - 6, "in", "ممتاز، إلى الغد"],
    ],
  },
  { user: "fox", displayName: "🦊 Fox 👩‍👩‍👧‍👦", presence: "online", lines: [[9 * DAY, "in", "🎉🎉🎉"]] },
  { user: "tuomas", displayName: "Tuomas", presence: "offline", lines: [[12 * DAY, "out", "Are you there?"]] },
  { user: "ilmari", displayName: "Ilmari Nieminen", presence: "offline", mood: "Somewhere on Lake Saimaa" },
  { user: "sanna", displayName: "Sanna Koskela", presence: "online" },
  { user: "verkkomestari", presence: "offline" },
  { user: "petra", displayName: "Petra Novák", presence: "offline", relation: "asked" },
  {
    user: "onni",
    displayName: "Onni Laine",
    presence: "offline",
    relation: "asksUs",
    greeting: "Hi, we sang together in Tampere. Anna gave me your name.",
  },
  { user: "spam-king", displayName: "Great Offers", presence: "offline", relation: "blocked" },
];

/** People who can be found in the network and are no buddies yet. */
export const STRANGERS: Person[] = [
  { user: "eerik", displayName: "Eerik Mäkelä", presence: "online" },
  { user: "aino", displayName: "Aino Mäkelä", presence: "offline" },
  { user: "kerttu", displayName: "Kerttu Lehtonen", presence: "online", listed: true },
  { user: "lehtola", displayName: "Väinö Lehtola", presence: "offline", listed: true },
  { user: "saimi", displayName: "Saimi Lehtinen-Ylä-Kauhaluoma", presence: "offline", listed: true },
];

const marks = (n: number) => Array.from({ length: n }, (_, i) => String.fromCodePoint(0x300 + (i % 112))).join("");

/** Names and texts that try to be more than text. */
export const HOSTILE: Person[] = [
  {
    user: "mallory",
    displayName: '<img src=x onerror="document.title=1"><b>Mallory</b>',
    presence: "online",
    mood: "</span><script>document.title = 'owned'</script>",
    unread: 1,
    lines: [
      [90, "in", '<script>document.title = "owned"</script>'],
      [80, "in", '<a href="https://evil.example/">click</a> <iframe src="https://evil.example"></iframe>'],
      [70, "in", "\u202e\u2066gnihtyreve snrut txet siht\u2069 and \u202bmore"],
      [60, "in", `Z${marks(10_000)}algo`],
      [50, "in", `zero\u200b\u200c\u200d\ufeffwidth${"\u200b".repeat(5000)}`],
      [40, "in", "https://evil.example/?track=1 javascript:alert(1) data:text/html,<h1>hi</h1>"],
      [30, "in", "a".repeat(65_536)],
      [20, "in", "line\n".repeat(900)],
      [10, "in", "{name, select, other {{x}}} <b>{0}</b> %s"],
    ],
  },
  { user: "rtl-attack", displayName: "\u202eecila\u202c \u2067txt.exe\u2069", presence: "away", lines: [[300, "in", "\u202e"]] },
  { user: "zalgo", displayName: `Z${marks(10_000)}algo`, presence: "doNotDisturb", mood: `m${marks(10_000)}` },
  { user: "blank", displayName: "\u200b\u2060\u3164\ufeff", presence: "offline" },
  { user: "endless", displayName: "W".repeat(5000), presence: "online", mood: "W".repeat(256) },
  {
    user: "beggar",
    displayName: "<h1>Let me in</h1>",
    presence: "offline",
    relation: "asksUs",
    greeting: `\u202e<script>document.title = 1</script>${marks(512)}`,
  },
];

const FIRST = ["Aada", "Eetu", "Helmi", "Joona", "Kerttu", "Leevi", "Minttu", "Niilo", "Oona", "Pekka", "Ronja", "Sulo"];
const LAST = ["Aalto", "Heikkinen", "Kallio", "Laitinen", "Mattila", "Ojala", "Rantanen", "Salonen", "Turunen", "Väisänen"];
const SHOWN: Presence[] = ["online", "away", "doNotDisturb", "offline", "offline"];

export const crowd = (size: number): Person[] =>
  Array.from({ length: size }, (_, i) => ({
    user: `person-${i + 1}`,
    displayName: `${FIRST[i % FIRST.length]} ${LAST[Math.floor(i / FIRST.length) % LAST.length]} ${i + 1}`,
    presence: SHOWN[i % SHOWN.length]!,
    mood: i % 4 === 0 ? "Reading" : undefined,
  }));

export const buddyOf = (person: Person, since: number): Buddy => ({
  user: person.user,
  displayName: person.displayName,
  presence: person.presence,
  mood: person.mood,
  relation: person.relation ?? "buddy",
  greeting: person.greeting,
  since,
});
