// What every failure of the node is in words: what happened, and what to do.
import type { Failure } from "../backend/generated";
import { soon, span } from "./times";
import { t } from "./words.svelte";

export function failureText(failure: Failure): string {
  switch (failure.code) {
    case "badInvite":
      return t(`error.badInvite.${failure.facts.problem}`);
    case "badName":
      return t(`error.badName.${failure.facts.rule}`);
    case "tooMany":
      return t(`error.tooMany.${failure.facts.what}`, { max: failure.facts.max });
    case "notEnrolled":
      return t(`error.notEnrolled.${failure.facts.reason}`, { address: failure.facts.address });
    case "audio":
      return t(`fault.${failure.facts.fault}`);
    case "clockWrong":
      return t("error.clockWrong", { off: span(Math.abs(failure.facts.offByMs)) });
    case "tooManyAttempts":
      return failure.retryAfterMs === undefined
        ? t("error.tooManyAttempts.later")
        : t("error.tooManyAttempts", { wait: soon(failure.retryAfterMs) });
    case "usage":
    case "portInUse":
    case "addressRefused":
    case "dataInUse":
    case "damagedData":
    case "dataTooNew":
    case "fileRefused":
    case "passwordTooShort":
    case "textTooLong":
    case "capOutOfRange":
      return t(`error.${failure.code}`, failure.facts);
    case "notJson":
    case "notARequest":
    case "lineTooLong":
    case "unknownMethod":
    case "badParams":
    case "answerTooLong":
    case "diskFull":
    case "noNetwork":
    case "otherNetwork":
    case "foundedHere":
    case "noJob":
    case "wrongNetwork":
    case "notConnected":
    case "authorityUnreachable":
    case "brokenProtocol":
    case "nameTaken":
    case "nameLooksAlike":
    case "wrongNameOrPassword":
    case "notAdmitted":
    case "deviceRefused":
    case "certificateRefused":
    case "authorityFailed":
    case "notLoggedIn":
    case "alreadyLoggedIn":
    case "yourself":
    case "noSuchUser":
    case "notBuddy":
    case "alreadyBuddy":
    case "noSuchRequest":
    case "blocked":
    case "textEmpty":
    case "noSuchMessage":
    case "noSuchCall":
    case "wrongCallState":
    case "inACall":
    case "badDevice":
    case "leaving":
    case "internal":
      return t(`error.${failure.code}`);
    default:
      // A newer node may know more codes than this window has words for.
      return t("error.internal");
  }
}
