"""A model that a researcher scripted in Python's PyTorch trains across the fleet from its file."""

import subprocess
import textwrap

from harness import CLASSES, SIDE, FleetTest, main

MODULE = textwrap.dedent("""
    import sys, torch
    class Plain(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = torch.nn.Conv2d(1, 4, 3)
            self.head = torch.nn.Linear(4 * {pooled} * {pooled}, {classes})
        def forward(self, x):
            x = torch.max_pool2d(torch.relu(self.conv(x)), 2)
            return self.head(torch.flatten(x, 1))
    class Net(Plain):
        @torch.jit.export
        def loss(self, x, y):
            return torch.nn.functional.cross_entropy(self.forward(x), y)
    torch.manual_seed(1)
    net = Net()
    example = torch.zeros(2, 1, {side}, {side})
    torch.jit.script(net).save(sys.argv[1] + "/scripted.pt")
    torch.jit.trace(Plain(), example).save(sys.argv[1] + "/traced.pt")
    torch.jit.freeze(torch.jit.script(Plain().eval())).save(sys.argv[1] + "/frozen.pt")
""").format(pooled=(SIDE - 2) // 2, classes=CLASSES, side=SIDE)


class TorchScriptTest(FleetTest):
    def model(self, name):
        return {"torchscript": str(self.folder / f"{name}.pt"), "input_shape": [1, SIDE, SIDE],
                "outputs": CLASSES}

    def setUp(self):
        super().setUp()
        script = self.folder / "net.py"  # a file, because TorchScript reads the module's source
        script.write_text(MODULE)
        subprocess.run(["/usr/bin/python3", script, self.folder], check=True)

    def test_a_scripted_module_learns_across_the_fleet_is_promoted_and_serves(self):
        self.start_fleet(2)
        path = self.job(name="scripted", model=self.model("scripted"), rounds=4,
                        train={"learning_rate": 0.1, "momentum": 0.5, "batch_size": 16,
                               "loss": "module"})
        shown = self.succeed(path)
        losses = [r["metrics"]["train_loss"] for r in shown["rounds"]]
        self.assertLess(losses[-1], losses[0] * 0.8, losses)
        self.coordinator.muster("promote", f"scripted@{shown['job']['latest_version']}",
                                "--cohort", "", "--wait", "--timeout", "60s")
        status = self.coordinator.muster_json("promote", "status", "scripted")["promotion"]
        self.assertEqual(status["phase"], "live")

    def test_traced_and_frozen_modules_are_refused_before_anything_is_sent(self):
        self.start_coordinator()
        self.assertIn("traced", self.muster_fails("run", self.job(model=self.model("traced"))))
        self.assertIn("frozen", self.muster_fails("run", self.job(model=self.model("frozen"))))
        self.assertEqual(self.coordinator.muster_json("jobs", "ls")["jobs"], [])


if __name__ == "__main__":
    main()
