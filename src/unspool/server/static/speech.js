// The browser's own microphone and voice, behind two buttons; a browser without them shows no buttons.
"use strict";
import {make} from "./inspection/dom.js";

const PROBLEMS = {"not-allowed": "the browser does not allow the microphone", "service-not-allowed": "the browser does not allow its speech service", network: "the speech service of the browser can't be reached", "audio-capture": "there is no microphone", "language-not-supported": "the browser does not know this language"};

/**
 * Buttons for speech.
 *
 * @param app The studio.
 * @param field Shows what was heard so far.
 * @param send Called with a sentence that was heard.
 * @returns `buttons`, a `note` or null, `speak(text)`, and `close()`.
 */
export function speech(app, field, send) {
  const Recognition = window.SpeechRecognition ?? window.webkitSpeechRecognition, synthesis = window.speechSynthesis;
  let listening = false, speaking = false, voice = false, recognition = null;
  const toggle = (label, act) => {
    const button = make("button", {type: "button", class: "tool", "aria-pressed": "false", onclick: () => act()}, label);
    return button;
  };
  const microphone = Recognition ? toggle("Microphone", () => (listening ? mute() : hear())) : null;
  const speaker = synthesis ? toggle("Voice", () => { voice = !voice; speaker.setAttribute("aria-pressed", String(voice)); if (!voice) synthesis.cancel(); }) : null;

  function hear() {
    listening = true;
    microphone.setAttribute("aria-pressed", "true");
    listen();
  }

  function mute() {
    listening = false;
    microphone?.setAttribute("aria-pressed", "false");
    recognition?.abort();
    recognition = null;
  }

  /** Hear one sentence, then the next, until the button is released; not while the voice speaks. */
  function listen() {
    if (!listening || speaking || recognition) return;
    const one = recognition = new Recognition();
    one.lang = navigator.language || "en";
    one.interimResults = true;
    one.onresult = (event) => {
      const last = event.results[event.results.length - 1], text = last[0].transcript.trim();
      field.value = text;
      if (last.isFinal && text) send(text);
    };
    one.onerror = (event) => {
      if (!PROBLEMS[event.error]) return;
      mute();
      app.say(`The microphone is off: ${PROBLEMS[event.error]}.`, true);
    };
    one.onend = () => { if (recognition === one) { recognition = null; setTimeout(listen, 100); } };
    one.start();
  }

  function speak(text) {
    if (!voice) return;
    const utterance = new SpeechSynthesisUtterance(text);
    speaking = true;
    recognition?.abort();
    recognition = null;
    utterance.onend = utterance.onerror = () => { speaking = false; listen(); };
    synthesis.speak(utterance);
  }

  function close() {
    mute();
    voice = false;
    synthesis?.cancel();
  }

  const note = microphone ? make("p", {class: "soft"}, "Some browsers send what the microphone hears to a speech service on the internet; the studio does not.") : null;
  return {buttons: [microphone, speaker], note, speak, close};
}
