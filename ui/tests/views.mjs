// Every view and state of the window, and how one gets there: for the pictures and for the checks.

const contact = (name) => async (page) => {
  await page.getByRole("option", { name }).first().click();
};
const menu = (item) => async (page) => {
  await page.getByRole("button", { name: "Menu" }).click();
  await page.getByRole("menuitem", { name: item }).click();
};
const settings = (tab) => async (page) => {
  await menu("Settings")(page);
  await page.getByRole("tab", { name: tab }).click();
};
const tab = (name) => async (page) => {
  await page.getByRole("radio", { name, exact: true }).click();
};
const press = (name) => async (page) => {
  await page.getByRole("button", { name, exact: true }).click();
};
const steps =
  (...all) =>
  async (page) => {
    for (const step of all) await step(page);
  };
const see = (text) => async (page) => {
  await page.getByText(text).first().waitFor();
};
const search = (name) => async (page) => {
  await page.getByRole("textbox", { name: "Search people" }).fill(name);
};
const openCall = async (page) => {
  await page.getByRole("button", { name: "Show the call" }).click();
};
const between = async (page) => {
  await menu("Network")(page);
  await page.getByRole("heading", { name: "Between you and the others" }).evaluate((e) => e.scrollIntoView());
};
const type = (label, text) => async (page) => {
  await page.getByRole("textbox", { name: label }).fill(text);
};

const REASONS = [
  "declined", "busy", "noAnswer", "cancelled", "notFound", "offline", "blocked", "notBuddy", "noPath", "pathLost",
  "peerVanished", "signalingLost", "keysRefused", "audioFailed", "internal",
];

/** name: [scenario, how to get there] */
export const VIEWS = {
  starting: ["loading", see("Starting Earshot")],
  "starting-failed": ["failed", see("Earshot could not start")],
  welcome: ["first"],
  join: ["first", press("I have an invite Join the network of your family, club or company.")],
  "join-link": ["first", see("This invite came from a link"), "&link=earshot:join/abc"],
  "join-failed": ["refusingFirst", steps(press("I have an invite Join the network of your family, club or company."), type("Invite", "earshot:half"), press("Join"), see("Copy it again"))],
  start: ["first", press("Start a new network You begin, and invite the others.")],
  "start-failed": ["refusingFirst", steps(press("Start a new network You begin, and invite the others."), type("Name of the network", "Virtanen"), press("Start"), see("Another program"))],
  started: ["first", steps(press("Start a new network You begin, and invite the others."), type("Name of the network", "Virtanen"), press("Start"), see("Your network is running"))],
  signup: ["joined"],
  "signup-filled": ["joined", steps(type("User name", "Änna Virta"), type("Password", "correct horse battery"), see("Strong"))],
  "signup-failed": ["refusingLogin", steps(type("User name", "anna"), type("Password", "correct horse battery"), press("Create account"), see("Somebody has that name"))],
  recovery: ["joined", steps(type("User name", "anna"), type("Password", "correct horse battery"), press("Create account"), see("Keep your recovery key"))],
  login: ["joined", press("I have an account")],
  "login-failed": ["refusingLogin", steps(press("I have an account"), type("User name", "anna"), type("Password", "wrong"), press("Log in"), see("do not belong together"))],
  "login-unreachable": ["unreachable", steps(press("I have an account"), type("User name", "anna"), type("Password", "wrong"), press("Log in"), see("does not answer"))],
  home: ["normal"],
  "home-empty": ["empty"],
  "home-crowd": ["crowd"],
  "home-offline": ["offline"],
  "home-nearby": ["nearby", see("You reach Anna Virtanen and Sanna Koskela")],
  "home-nearby-many": ["nearbyMany", see("and 2 more")],
  "home-damaged": ["damagedList", see("Something on disk was damaged")],
  "home-damaged-empty": ["damagedAll", see("Something on disk was damaged")],
  recents: ["normal", tab("Recents")],
  "recents-empty": ["empty", tab("Recents")],
  calls: ["normal", tab("Calls")],
  "calls-empty": ["empty", tab("Calls")],
  "calls-loading": ["slow", tab("Calls")],
  "calls-failed": ["refusing", steps(tab("Calls"), see("could not be read"))],
  "search-list": ["normal", search("ä")],
  "search-ask": ["normal", search("aino")],
  "search-found": ["normal", steps(search("aino"), contact("Look for"), see("Found in round"))],
  "search-found-2": ["normal", steps(search("eerik"), contact("Look for"), see("Found in round"))],
  "search-words": ["normal", steps(search("leht"), contact("Look for"), see("Found 3 people"))],
  "search-none": ["normal", steps(search("nobody-here"), contact("Look for"), see("Nobody in this network"))],
  "search-offline": ["offline", search("aino")],
  found: ["normal", steps(search("aino"), contact("Look for"), see("Found in round"), contact("Aino Mäkelä"))],
  request: ["normal", contact("Onni")],
  asked: ["normal", contact("Petra")],
  conversation: ["normal", steps(contact("Anna Virtanen"), see("bring the dog"))],
  "conversation-finnish": ["normal", contact("Johanna-Katariina")],
  "conversation-arabic": ["normal", contact("ليلى")],
  "conversation-emoji": ["normal", contact("Fox")],
  "conversation-empty": ["normal", contact("Sanna")],
  "conversation-loading": ["slow", contact("Anna Virtanen")],
  "conversation-failed": ["refusing", steps(contact("Anna Virtanen"), see("could not be read"))],
  "conversation-offline": ["offline", steps(contact("Anna Virtanen"), see("You are offline"))],
  "conversation-nearby": ["nearby", steps(contact("Anna Virtanen"), see("is near by"))],
  "conversation-long": ["long", steps(contact("Anna Virtanen"), see("bring the dog"))],
  "send-failed": ["refusing", steps(contact("Anna Virtanen"), type("Write to", "Hello"), press("Send"), see("was not sent"))],
  "block-ask": ["normal", steps(contact("Anna Virtanen"), async (page) => page.getByRole("button", { name: "More about" }).click(), async (page) => page.getByRole("menuitem", { name: "Block" }).click())],
  hostile: ["hostile"],
  "hostile-chat": ["hostile", contact("Mallory")],
  "hostile-request": ["hostile", contact("Let me in")],
  ringing: ["ringing", see("is calling")],
  calling: ["calling", openCall],
  "call-bar": ["talking", contact("Anna Virtanen")],
  "call-view": ["talking", steps(openCall, see("Good sound"))],
  "call-technical": ["relayed", steps(openCall, see("Poor sound"), async (page) => page.getByText("Technical details").click())],
  "call-interrupted": ["interrupted", steps(openCall, see("Reconnecting"))],
  "call-muted": ["muted", openCall],
  "call-held": ["held", openCall],
  "call-held-there": ["heldThere", openCall],
  "call-no-microphone": ["noMicrophone", see("There is no microphone")],
  ...Object.fromEntries(REASONS.map((reason) => [`ended-${reason}`, [`ended-${reason}`, async (page) => page.getByRole("alert").waitFor()]])),
  "settings-profile": ["normal", settings("Profile")],
  "settings-sound": ["normal", settings("Sound")],
  "settings-sound-test": ["normal", steps(settings("Sound"), press("Test the microphone"), async (page) => page.getByRole("meter").waitFor())],
  "settings-sound-loading": ["slow", settings("Sound")],
  "settings-sound-failed": ["refusing", steps(settings("Sound"), see("could not be listed"))],
  "settings-sound-none": ["noDevices", settings("Sound")],
  "settings-appearance": ["normal", settings("Appearance")],
  "settings-notifications": ["normal", settings("Notifications")],
  network: ["normal", menu("Network")],
  "network-invite": ["normal", steps(menu("Network"), press("Invite others"), see("Works from everywhere"))],
  "network-failed": ["refusing", steps(menu("Network"), press("Invite others"), see("could not be made"))],
  "network-offline": ["offline", menu("Network")],
  "network-nearby": ["nearby", steps(menu("Network"), see("Their certificate ended on"))],
  "network-nearby-many": ["nearbyMany", steps(menu("Network"), see("Your own certificate ended on"))],
  "network-nat": ["normal", between],
  "network-nat-symmetric": ["symmetricNat", steps(between, async (page) => page.getByText("In exact terms").click())],
  "network-nat-none": ["noNat", between],
  "network-nat-blocked": ["udpBlocked", between],
  "network-nat-unmeasured": ["unmeasured", between],
  shortcuts: ["normal", async (page) => page.keyboard.press("F10")],
  menu: ["normal", async (page) => page.getByRole("button", { name: "change what you show" }).click()],
};

/** Waits until nothing moves any more: fonts are there, and animations that end have ended. */
export async function settle(page) {
  await page.evaluate(async () => {
    await document.fonts.ready;
    // In what is folded away time stands still.
    const ends = document
      .getAnimations()
      .filter(({ effect }) => effect?.getComputedTiming().iterations !== Infinity && effect?.target?.checkVisibility());
    await Promise.allSettled(ends.map((a) => a.finished));
    // Quiet: for a few frames nothing is added, taken away or shown.
    for (let quiet = 0, before = ""; quiet < 4; ) {
      await new Promise((done) => requestAnimationFrame(done));
      const hidden = document.querySelectorAll('[role="log"] [style*="visibility: hidden"]').length;
      const now = `${document.querySelectorAll("*").length} ${document.querySelector('[role="log"]')?.scrollTop}`;
      quiet = now === before && hidden === 0 ? quiet + 1 : 0;
      before = now;
    }
  });
}

export async function arrive(visit, name, options = {}) {
  const [scenario, go, query] = VIEWS[name];
  const page = await visit(scenario, { ...options, query });
  await go?.(page);
  await settle(page);
  return page;
}
