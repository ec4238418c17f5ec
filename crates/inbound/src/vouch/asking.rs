//! Between the machines of `policy` and the resolver: questions out, answers in, not past a deadline.
//!
//! What is not answered in time is answered with [`Answer::Failed`], which every machine knows what to do with, so that
//! a machine always ends: dead, slow and lying name servers are all the same here (G7).

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
    time::Instant,
};

use net::{
    Clock, Resolver,
    tasks::{Task, Tasks},
};
use policy::{
    dmarc,
    dns::{Answer, Question},
    iprev, spf,
};

/// Questions of one machine that are open at a time. Sixty of one message, to a server that never answers, would leave
/// little of what all messages share.
const ASKED_AT_ONCE: usize = 8;
/// Answers that are remembered for the length of a message.
const REMEMBERED_MAX: usize = 64;

/// A machine that asks one question after the other.
pub(super) trait Machine {
    /// What it ends with.
    type Verdict;

    /// The verdict, or what must be asked first.
    fn poll(&mut self) -> Result<Self::Verdict, Question>;

    /// The answer to that.
    fn answer(&mut self, answer: Answer);
}

impl Machine for dmarc::Check {
    type Verdict = dmarc::Verdict;

    fn poll(&mut self) -> Result<dmarc::Verdict, Question> {
        match Self::poll(self) {
            dmarc::Poll::Done(verdict) => Ok(verdict),
            dmarc::Poll::Ask(question) => Err(question),
        }
    }

    fn answer(&mut self, answer: Answer) {
        Self::answer(self, answer);
    }
}

impl Machine for spf::Check {
    type Verdict = spf::Verdict;

    fn poll(&mut self) -> Result<spf::Verdict, Question> {
        match Self::poll(self) {
            spf::Poll::Done(verdict) => Ok(verdict),
            spf::Poll::Ask(question) => Err(question),
        }
    }

    fn answer(&mut self, answer: Answer) {
        Self::answer(self, answer);
    }
}

impl Machine for iprev::Check {
    type Verdict = iprev::Outcome;

    fn poll(&mut self) -> Result<iprev::Outcome, Question> {
        match Self::poll(self) {
            iprev::Poll::Done(outcome) => Ok(outcome),
            iprev::Poll::Ask(question) => Err(question),
        }
    }

    fn answer(&mut self, answer: Answer) {
        Self::answer(self, answer);
    }
}

/// Answers that one message has had already: its machines ask for the same names.
#[derive(Debug, Default)]
pub(super) struct Memory(Vec<(Question, Answer)>);

impl Memory {
    /// The answer to a question, if it is remembered.
    pub(super) fn recall(&self, question: &Question) -> Option<Answer> {
        self.0.iter().find(|(known, _)| known == question).map(|(_, answer)| answer.clone())
    }

    /// Remembers an answer, as long as there are not too many.
    pub(super) fn keep(&mut self, question: Question, answer: Answer) {
        if self.0.len() < REMEMBERED_MAX {
            self.0.push((question, answer));
        }
    }
}

/// Where answers come from, and until when they are waited for.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) resolver: &'a dyn Resolver,
    pub(super) clock: &'a Clock,
    pub(super) deadline: Instant,
}

impl Source<'_> {
    async fn ask(&self, question: &Question) -> Answer {
        if self.clock.instant() >= self.deadline {
            return Answer::Failed;
        }
        self.clock.timeout_at(self.deadline, self.resolver.ask(question)).await.unwrap_or(Answer::Failed)
    }

    /// Runs a machine to its end.
    pub(super) async fn run<M: Machine>(&self, mut machine: M, memory: &mut Memory) -> M::Verdict {
        loop {
            let question = match machine.poll() {
                Ok(verdict) => return verdict,
                Err(question) => question,
            };
            let answer = match memory.recall(&question) {
                Some(answer) => answer,
                None => {
                    let answer = self.ask(&question).await;
                    memory.keep(question, answer.clone());
                    answer
                }
            };
            machine.answer(answer);
        }
    }

    /// Asks several questions, some at the same time.
    pub(super) async fn ask_all(&self, questions: Vec<Question>) -> Vec<(Question, Answer)> {
        let asked = questions.into_iter().map(|question| async {
            let answer = self.ask(&question).await;
            (question, answer)
        });
        join_all(asked.collect()).await
    }
}

/// Waits for all of them, [`ASKED_AT_ONCE`] at a time. They are few: each is polled whenever one of them can go on.
async fn join_all<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let mut running: Vec<Pin<Box<F>>> = futures.into_iter().map(Box::pin).collect();
    let mut outputs: Vec<Option<F::Output>> = running.iter().map(|_| None).collect();
    poll_fn(|context| {
        loop {
            let open = running.iter_mut().zip(&mut outputs).filter(|(_, output)| output.is_none());
            let (mut waiting, mut ended) = (false, false);
            for (future, output) in open.take(ASKED_AT_ONCE) {
                match future.as_mut().poll(context) {
                    Poll::Ready(ready) => {
                        *output = Some(ready);
                        ended = true;
                    }
                    Poll::Pending => waiting = true,
                }
            }
            // Whoever ended makes room for the next.
            match (ended, waiting) {
                (true, _) => {}
                (false, true) => return Poll::Pending,
                (false, false) => return Poll::Ready(()),
            }
        }
    })
    .await;
    outputs.into_iter().flatten().collect()
}

/// Something that is being found out while the session goes on. Dropped, it is given up.
#[derive(Debug)]
pub(super) enum Pending<T> {
    /// It is known: all answers were at hand.
    Known(T),
    /// A task asks.
    Asking(Running<T>),
}

/// A task that ends with who waits for it.
#[derive(Debug)]
pub(super) struct Running<T>(Task<T>);

impl<T> Drop for Running<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<T: Send + 'static> Pending<T> {
    /// Goes as far as answers are at hand, and starts a task only for the rest.
    pub(super) fn start(tasks: &Tasks, name: &'static str, future: impl Future<Output = T> + Send + 'static) -> Self {
        let mut future = Box::pin(future);
        match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(known) => Self::Known(known),
            // The task polls it again at once, with a waker of its own.
            Poll::Pending => Self::Asking(Running(tasks.spawn(name, future))),
        }
    }

    /// Waits for it. Nothing when the task broke.
    pub(super) async fn wait(self) -> Option<T> {
        match self {
            Self::Known(known) => Some(known),
            Self::Asking(mut running) => pin!(&mut running.0).await.ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn only_some_are_asked_at_a_time_and_all_in_the_end() {
        let (begun, answered) = (Cell::new(0), Cell::new(0));
        let (begun, answered) = (&begun, &answered);
        let ask = |number| async move {
            begun.set(begun.get() + 1);
            poll_fn(|_| if answered.get() > number { Poll::Ready(number) } else { Poll::Pending }).await
        };
        let mut all = pin!(join_all((0..20).map(ask).collect()));
        let mut poll = || all.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        for (now, most) in [(0, 8), (1, 9), (5, 13), (13, 20), (19, 20)] {
            answered.set(now);
            assert!(poll().is_pending());
            assert_eq!(begun.get(), most, "{now} answers");
        }
        answered.set(20);
        assert_eq!(poll(), Poll::Ready((0..20).collect()));
    }
}
