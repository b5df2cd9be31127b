// Chat with an assistant: each answer with its sources, confidence and threshold; a correction teaches it.
"use strict";
import {bar, make} from "../inspection/dom.js";
import {asking} from "../asking.js";

export const view = {
  id: "chat",
  title: "Chat",
  applies: (model) => Boolean(model?.chats),

  open(root, app) {
    const talk = make("div", {role: "log", "aria-live": "polite", "aria-label": "conversation"}), messages = [];
    const ask = asking(app, send, [], "Ask");
    root.append(talk, ask.node, make("div", {class: "row"},
      make("button", {type: "button", class: "tool", onclick: save}, "Save the conversation"),
      make("span", {class: "soft"}, app.info.limits.corrections ? `Corrections are appended to ${app.info.limits.corrections}.` : "Corrections last until the server ends; --corrections FILE keeps them for training.")));
    ask.field.focus();

    async function send(question) {
      question = question.trim();
      if (!question) return;
      ask.field.value = "";
      messages.push({role: "user", content: question});
      talk.append(make("div", {class: "bubble mine"}, question));
      const answer = await app.guard(() => app.api.postJson("v1/chat/completions", {model: app.model.name, messages}));
      if (!answer) { messages.pop(); return; }
      messages.push(answer.choices[0].message);
      const bubble = make("div", {class: "bubble"}, make("div", {}, answer.choices[0].message.content), sources(question, answer.unspool));
      talk.append(bubble);
      bubble.scrollIntoView({block: "nearest"});
    }

    function sources(question, reply) {
      const rows = reply.sources.map((source) => make("tr", {}, make("td", {class: "name", title: source.question}, source.question), make("td", {}, bar(source.share, source.share)), make("td", {class: "name", title: source.answer}, source.answer)));
      const sure = `${Math.round(100 * reply.confidence)}% sure, ${reply.known ? "at least" : "below"} the threshold of ${Math.round(100 * reply.threshold)}%`;
      return make("details", {}, make("summary", {class: "soft"}, sure),
        make("div", {class: "scroll"}, make("table", {}, make("tr", {}, ["nearest questions", "share", "answer"].map((title) => make("th", {scope: "col"}, title))), rows)),
        make("div", {class: "row"},
          make("button", {type: "button", class: "tool", onclick: () => app.go("gates", {text: question, step: null})}, "Look inside"),
          correction(question)));
    }

    function correction(question) {
      const field = make("input", {type: "text", "aria-label": "the right answer", placeholder: "the right answer"});
      const button = make("button", {type: "button", class: "tool"}, "Correct");
      button.onclick = async () => {
        if (!field.value.trim()) return void field.focus();
        const result = await app.guard(() => app.api.postJson("api/correct", {model: app.model.name, question, answer: field.value}));
        if (result) button.textContent = result.file ? `written to ${result.file}` : "learned";
      };
      return make("span", {class: "row"}, field, button);
    }

    function save() {
      const content = JSON.stringify({model: app.model.name, folder: app.model.folder, messages}, null, 1);
      const link = make("a", {href: URL.createObjectURL(new Blob([content], {type: "application/json"})), download: "conversation.json"});
      link.click();
    }

    return {};
  },
};
