"""`python trace.py SEED`: prints the trace of one simulated run."""

import sys

from pasar.apps.lab.simulation import Plan, Simulation

if __name__ == "__main__":
    sys.stdout.write(Simulation(int(sys.argv[1]), Plan(orders=15)).run().trace + "\n")
